"""What each member's work looks like from outside: Ray metrics, which its nodes export in Prometheus' format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ray.util.metrics import Counter, Histogram

from specialists.protocol import Generation

TAGS: Final = ("engine", "specialist")
SECONDS: Final = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]


class MemberMetrics:
    """The counters of one replica. Ray puts `ray_` before their names where it exports them.

    Tokens of prompts, of prompts found in the engine's cache, and of answers; generations, and those that failed; the
    seconds in the engine, before it began, and to the first token, where the engine tells.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._generations = Counter("council_member_generations", "Generations asked of a member.", TAGS)
        self._errors = Counter("council_member_errors", "Generations that failed.", TAGS)
        self._prompt = Counter("council_member_prompt_tokens", "Tokens of prompts.", TAGS)
        self._cached = Counter("council_member_cached_prompt_tokens", "Tokens of prompts that the engine had computed before.", TAGS)
        self._output = Counter("council_member_output_tokens", "Tokens generated.", TAGS)
        self._seconds = Histogram("council_member_seconds", "In the engine, from arrival to the answer.", SECONDS, TAGS)
        self._queued = Histogram("council_member_queued_seconds", "In the engine, before it began.", SECONDS, TAGS)
        self._first = Histogram("council_member_first_token_seconds", "In the engine, from arrival to the first token.", SECONDS, TAGS)

    def count(self, generations: Sequence[Generation]) -> None:
        """Note what came of some requests."""
        for made in generations:
            tags = {"engine": self._engine, "specialist": made.specialist}
            self._generations.inc(1.0, tags)
            if made.error is not None:
                self._errors.inc(1.0, tags)
                continue
            tokens = sum(s.tokens for s in made.samples)
            for counter, number in ((self._prompt, made.prompt_tokens), (self._cached, made.cached_tokens), (self._output, tokens)):
                if number:
                    counter.inc(float(number), tags)
            for histogram, seconds in ((self._seconds, made.seconds), (self._queued, made.queued_s), (self._first, made.first_token_s)):
                if seconds is not None:
                    histogram.observe(seconds, tags)
