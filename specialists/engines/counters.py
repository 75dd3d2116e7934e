"""What vLLM's engine core says of its steps: how many requests ran together, and what its prefix cache saved."""

from __future__ import annotations

from typing import Any


class StepCounters:
    """A logger of statistics in the form that vLLM calls, once a step, in the event loop of the engine.

    It reads only fields that vLLM 0.25.1 and 0.32.0 share. Totals count from the engine's start.
    """

    def __init__(self) -> None:
        self.prompt_tokens_looked_up = 0
        """Prompt tokens of the requests that began, looked for in the prefix cache."""
        self.prompt_tokens_found = 0
        """Of these, those that had been computed before."""
        self._peaks: dict[str, int] = {}

    def begin(self, request: str) -> None:
        """Watch with how many others this request runs."""
        self._peaks[request] = 0

    def end(self, request: str) -> int:
        """The most requests that ran in one step while this one was there, itself included."""
        return max(1, self._peaks.pop(request, 0))

    def record(self, scheduler_stats: Any, iteration_stats: Any, *more: Any, **others: Any) -> None:
        """Called by vLLM; either may be None."""
        together = scheduler_stats.num_running_reqs if scheduler_stats is not None else 0
        if iteration_stats is not None:
            together += len(iteration_stats.finished_requests)  # those that ended in this step are not counted as running
        for request, peak in self._peaks.items():
            self._peaks[request] = max(peak, together)
        cache = scheduler_stats.prefix_cache_stats if scheduler_stats is not None else None
        if cache is not None:
            self.prompt_tokens_looked_up += cache.queries
            self.prompt_tokens_found += cache.hits

    def log(self) -> None:
        """Nothing: the totals are read where they are wanted."""

    def log_engine_initialized(self) -> None:
        """Nothing to say."""

    def record_sleep_state(self, *state: Any) -> None:
        """The engine is never put to sleep."""
