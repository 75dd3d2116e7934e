"""Calls to hosts that run, by handles of Ray Serve; Ray's errors become ours here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from specialists.protocol import EngineError, Generation, GenerationRequest, Health, HostError, Score, ScoreRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ray.serve.handle import DeploymentHandle

HEALTH_S: Final = 10.0
"""Seconds that a host has to say how it is."""


class Hosts:
    """The hosts of a council by the names of their engines."""

    def __init__(self, handles: Mapping[str, DeploymentHandle[Any]]) -> None:
        self._handles = dict(handles)

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that have a host."""
        return tuple(self._handles)

    async def generate(self, engine: str, requests: Sequence[GenerationRequest], within_s: float | None = None) -> list[Generation]:
        """Generations of one host, in the order of the requests. Those that take longer than `within_s` in the host are cancelled
        there, and fail alone. Raises EngineError; cancelling it cancels all of them there."""
        generations: list[Generation] = await self._call(engine, lambda host: host.generate.remote(list(requests), within_s))
        return generations

    async def generate_each(
        self, engine: str, requests: Sequence[GenerationRequest], within_s: float | None = None
    ) -> AsyncIterator[tuple[int, Generation]]:
        """The same, each with its place among the requests and as soon as it is there."""
        with _translated(engine):
            stream: Any = self._handles[engine].options(stream=True).generate_each.remote(list(requests), within_s)
            try:
                async for place, generation in stream:
                    yield place, generation
            finally:
                stream.cancel()  # what has ended takes no notice

    async def score(self, engine: str, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Scores of one host, in the order of the requests. Raises EngineError."""
        scores: list[Score] = await self._call(engine, lambda host: host.score.remote(list(requests)))
        return scores

    async def health(self, engine: str) -> Health:
        """How a host's engine is; not ok, with the reason, if it can't be asked."""
        try:
            health: Health = await asyncio.wait_for(self._call(engine, lambda host: host.health.remote()), HEALTH_S)
            return health
        except (EngineError, TimeoutError) as exc:
            if isinstance(exc.__cause__, BackPressureError):
                return Health(True, "busy: its queue is full")
            return Health(False, str(exc) or f"no answer within {HEALTH_S:g} s")

    async def _call(self, engine: str, call: Callable[[DeploymentHandle[Any]], Any]) -> Any:
        """One call; cancelled, it cancels the call in the replica too."""
        with _translated(engine):
            response = call(self._handles[engine])
            try:
                return await response
            except asyncio.CancelledError:
                response.cancel()
                raise


@contextmanager
def _translated(engine: str) -> Iterator[None]:
    """The one place where Ray's errors become ours."""
    try:
        yield
    except BackPressureError as exc:
        raise HostError(f"host {engine!r} is overloaded: its queue is full") from exc
    except RayTaskError as exc:
        cause = exc.cause if isinstance(exc.cause, EngineError) else HostError(f"host {engine!r} failed: {exc.cause!r}")
        raise cause from exc
    except (RayError, RayServeException) as exc:
        raise HostError(f"host {engine!r} died or can't be reached: {type(exc).__name__}") from exc
