"""The Engine protocol: what runs weights, seen from outside. Imports no torch.

EngineError
├── WeightsMissing     a model or an adapter is not where the config says
├── WeightsInvalid     weights are there but can't be used (not safetensors, wrong shape)
├── OptionError        an engine option that doesn't exist or has a wrong value
├── RequestError       a request that this engine can't serve: unknown specialist, prompt too long
└── HostError          a host that can't be reached, has died, or is overloaded
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from specialists.prompt_format import Message


class EngineError(Exception):
    """Anything that an engine or its host reports in one line."""


class WeightsMissing(EngineError):
    """A model or an adapter is not where the config says."""


class WeightsInvalid(EngineError):
    """Weights are there but can't be used."""


class OptionError(EngineError):
    """An engine option that doesn't exist or has a wrong value."""


class RequestError(EngineError):
    """A request that this engine can't serve."""


class HostError(EngineError):
    """A host that can't be reached, has died, or is overloaded."""


@dataclass(frozen=True)
class GenerationRequest:
    """`n` answers of one specialist to one prompt. temperature 0 is greedy; `seed` makes sampling repeatable."""

    specialist: str
    messages: Sequence[Message]
    max_tokens: int = 32
    temperature: float = 0.0
    n: int = 1
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False


@dataclass(frozen=True)
class Sample:
    """One generated text, without its stop string. `finish` is 'stop' or 'length'."""

    text: str
    tokens: int
    finish: str
    logprobs: tuple[float, ...] = ()
    """The log-probability (natural) of each generated token, end token included, where asked for."""


@dataclass(frozen=True)
class Generation:
    """What came of one request: its samples, or the error that it alone failed with."""

    specialist: str
    samples: tuple[Sample, ...] = ()
    prompt_tokens: int = 0
    seconds: float = 0.0
    """In the engine, waiting for a batch included."""
    batch_size: int = 0
    """How many generations ran in the same batch."""
    error: str | None = None
    queued_s: float | None = None
    """Of `seconds`, those before the engine began with it; None: the engine doesn't tell. So for the next two."""
    first_token_s: float | None = None
    """From its arrival to its first token."""
    cached_tokens: int | None = None
    """Prompt tokens that were not computed: another prompt had left them."""
    late: bool = False
    """Whether its error is that it took too long, and was cancelled."""


@dataclass(frozen=True)
class ScoreRequest:
    """How likely `answer` is after `messages`, to a specialist."""

    specialist: str
    messages: Sequence[Message]
    answer: str


@dataclass(frozen=True)
class Score:
    """Log-likelihood (natural) of each token of the answer, its end not included."""

    specialist: str
    logprobs: tuple[float, ...] = ()
    prompt_tokens: int = 0
    error: str | None = None

    @property
    def total(self) -> float:
        return sum(self.logprobs)

    @property
    def mean(self) -> float:
        """Per token; negative infinity for an empty answer, which nobody can support."""
        return self.total / len(self.logprobs) if self.logprobs else float("-inf")


@dataclass(frozen=True)
class Health:
    """How an engine is."""

    ok: bool
    detail: str = ""
    facts: dict[str, str | float] = field(default_factory=dict)


@runtime_checkable
class Engine(Protocol):
    """What runs weights. One engine may serve many specialists (adapters on one base) in one batch.

    `generate` and `score` answer in the order of their requests; a request that can't be served gets an `error`
    of its own and harms no other. Both may be called concurrently, and cancelled.
    """

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]: ...

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]: ...

    async def health(self) -> Health: ...

    async def close(self) -> None: ...
