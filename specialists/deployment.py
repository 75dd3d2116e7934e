"""Hosts: Ray Serve replicas around engines, and the pool that starts, asks and stops them.

Restarts, health checks, replicas, autoscaling, fractional GPUs and back-pressure are Serve's; nothing of the kind is
written here.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import math
import os
import re
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from specialists.config import EngineConfig, SpecialistConfig
from specialists.engines import build_engine
from specialists.hosts import Hosts
from specialists.metrics import MemberMetrics
from specialists.protocol import (
    EngineError,
    Generation,
    GenerationRequest,
    Health,
    HostError,
    Score,
    ScoreRequest,
    WeightsMissing,
)
from specialists.tokens import is_local, locate

NO_PROXY = "Disabled"
QUIET: Final = {"log_level": "ERROR", "enable_access_log": False}
GRACE_S: Final = 5.0
OURS: Final = re.compile(r"(specialists\.protocol|council\.errors)\.\w+: ")
"""How a line begins that tells of an error of ours."""
SERVE_CONTROLLER_NAME, SERVE_NAMESPACE = "SERVE_CONTROLLER_ACTOR", "serve"


class Host:
    """One replica: an engine, and the calls that reach it."""

    def __init__(self, engine: EngineConfig, specialists: Sequence[SpecialistConfig]) -> None:
        with _alone_on_its_card(engine):
            self._engine, self._was_healthy = build_engine(engine, specialists), False
        self._metrics = MemberMetrics(engine.name)

    async def generate(self, requests: Sequence[GenerationRequest], within_s: float | None = None) -> list[Generation]:
        """Generations in order; those that are not there `within_s` are cancelled, and fail alone."""
        made = dict([pair async for pair in self.generate_each(requests, within_s)])
        return [made[place] for place in range(len(requests))]

    async def generate_each(
        self, requests: Sequence[GenerationRequest], within_s: float | None = None
    ) -> AsyncIterator[tuple[int, Generation]]:
        """The same, each with its place and as soon as it is there."""
        tasks = {asyncio.create_task(self._engine.generate([r])): place for place, r in enumerate(requests)}
        ends, pending = None if within_s is None else time.monotonic() + within_s, set(tasks)
        try:
            while pending:
                left = None if ends is None else max(0.0, ends - time.monotonic())
                done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    self._metrics.count(task.result())
                    yield tasks[task], task.result()[0]
                if not done:
                    break
            for task in pending:
                late = Generation(requests[tasks[task]].specialist, error=f"late: no answer within {within_s:g} s", late=True)
                self._metrics.count([late])
                yield tasks[task], late
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        return await self._engine.score(requests)

    async def health(self) -> Health:
        """The engine's health, with this replica's process id."""
        health = await self._engine.health()
        return replace(health, facts={**health.facts, "pid": float(os.getpid())})

    async def check_health(self) -> None:
        """Called by Serve every health-check period; an exception makes it replace this replica."""
        health = await self._engine.health()
        if health.ok:
            self._was_healthy = True
        elif not self._was_healthy:
            raise HostError(health.detail)  # the start fails, and tells why
        else:
            # Serve waits for three failed checks before it replaces a replica, but replaces one that ended at once;
            # no engine gets well again, so nothing is lost by ending
            await self._engine.close()
            ray.actor.exit_actor()  # type: ignore[no-untyped-call]

    async def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None:
            await engine.close()


@contextmanager
def _alone_on_its_card(engine: EngineConfig) -> Iterator[None]:
    """One start at a time on this machine, of those that share a card: vLLM measures the free memory of all of it meanwhile."""
    if engine.kind != "vllm" or not 0 < engine.resources.num_gpus < 1:
        yield
        return
    with open(Path(tempfile.gettempdir()) / f"council-start-{os.getuid()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_weights(engines: Sequence[EngineConfig], specialists: Sequence[SpecialistConfig]) -> None:
    """Raise WeightsMissing, naming the member and the path, for local weights that are not there: before anything starts."""
    elsewhere = {e.name for e in engines if e.kind in ("openai", "replay")}
    for engine in engines:
        if engine.kind not in ("scripted", "openai", "replay"):
            if engine.model is None:
                raise WeightsMissing(f"engine {engine.name!r}: no model is configured; set engines.{engine.name}.model")
            locate(f"engine {engine.name!r}", engine.model)
    for specialist in specialists:
        if specialist.adapter is not None and specialist.engine not in elsewhere:
            folder = locate(f"specialist {specialist.name!r}", specialist.adapter)
            weights = Path(folder) / "adapter_model.safetensors"
            if is_local(specialist.adapter) and not weights.is_file():
                raise WeightsMissing(
                    f"specialist {specialist.name!r}: weights not found at {weights}; correct the path in the config, or put them there"
                )


@dataclass
class _OwnRay:
    """Whether this process started Ray itself, and how many pools use it: the last one out turns it off."""

    started: bool = False
    users: int = 0


_OWN_RAY: Final = _OwnRay()


def _last_line(exc: BaseException) -> str:
    return (str(exc).strip() or type(exc).__name__).splitlines()[-1]


def _serve_is_running() -> bool:
    try:
        ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    except ValueError:
        return False
    return True


def host_deployment(
    engine: EngineConfig, specialists: Sequence[SpecialistConfig], logs: Mapping[str, Any] = QUIET, grace_s: float = GRACE_S
) -> serve.Application:
    """The Serve deployment of an engine's host, bound to it and to its specialists. A replica that goes down has `grace_s` for what
    it works on."""
    resources = engine.resources
    scaling: dict[str, Any] = {"num_replicas": resources.replicas}
    if resources.autoscale_to is not None:
        scaling = {"autoscaling_config": {"min_replicas": resources.replicas, "max_replicas": resources.autoscale_to}}
    decorate: Callable[[type[Host]], serve.Deployment] = serve.deployment(
        name=f"host-{engine.name}", max_ongoing_requests=engine.max_ongoing_requests,
        max_queued_requests=engine.max_queued_requests, ray_actor_options={"num_cpus": resources.num_cpus, "num_gpus": resources.num_gpus},
        health_check_period_s=engine.health_check_period_s, health_check_timeout_s=max(30.0, engine.health_check_period_s),
        graceful_shutdown_timeout_s=grace_s, graceful_shutdown_wait_loop_s=0.5, max_constructor_retry_count=1,
        logging_config=dict(logs), **scaling,
    )  # fmt: skip
    return decorate(Host).bind(engine, tuple(specialists))


def check_resources(engines: Sequence[EngineConfig], more_cpus: float = 0.0) -> None:
    """Raise HostError where the hosts, and what else is wanted, want more than the cluster has at all."""
    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    for kind in ("GPU", "CPU"):
        wanted = sum((e.resources.num_gpus if kind == "GPU" else e.resources.num_cpus) * e.resources.replicas for e in engines)
        wanted += more_cpus if kind == "CPU" else 0.0
        if wanted > there.get(kind, 0.0) + 1e-9:
            raise HostError(
                f"the hosts want {wanted:g} {kind}s; Ray has {there.get(kind, 0.0):g}: lower resources in the config, or add nodes"
            )


def why_failed(prefix: str) -> str | None:
    """The last line of what the first failed replica raised in its constructor, which names the member; of the applications whose
    names begin so."""
    try:
        applications = serve.status().applications
    except (RayError, RayServeException):
        return None
    for name, application in applications.items():
        if name.startswith(prefix):
            messages = [application.message, *(d.message for d in application.deployments.values())]
            told = [line[found.end() :].strip() for m in messages for line in m.splitlines() if (found := OURS.search(line))]
            if told:
                return told[-1]
    return None


class HostPool(Hosts):
    """The hosts of one council. It starts Ray and Serve, or joins those that run, and leaves nothing of its own behind."""

    def __init__(self, name: str, engines: Sequence[EngineConfig], specialists: Sequence[SpecialistConfig]) -> None:
        super().__init__({})
        self._engines = {e.name: e for e in engines}
        self._members = {e.name: tuple(s for s in specialists if s.engine == e.name) for e in engines}
        self._prefix = f"{name}-{uuid.uuid4().hex[:6]}"
        self._applications: list[str] = []
        self._uses_ray = False
        self._own_serve = False

    def start(self, ray_address: str | None = None) -> None:
        """Bring every host up; returns when all are healthy. Raises EngineError, and stops what had started."""
        used = [e for e in self._engines.values() if self._members[e.name]]
        check_weights(used, [s for e in used for s in self._members[e.name]])
        try:
            self._start_ray(ray_address, used)
            check_resources(used)
            self._start_hosts(used)
        except EngineError:
            self.stop()
            raise
        except BaseException as exc:
            reason = (why_failed(self._prefix) if ray.is_initialized() else None) or _last_line(exc)
            self.stop()
            if not isinstance(exc, RayError | RayServeException | RuntimeError | ValueError | OSError):
                raise
            raise HostError(f"the hosts could not be started: {reason}") from exc

    def _start_hosts(self, engines: Sequence[EngineConfig]) -> None:
        targets = [
            serve.RunTarget(host_deployment(e, self._members[e.name]), name=f"{self._prefix}-{e.name}", route_prefix=None) for e in engines
        ]
        self._applications += [target.name for target in targets]
        handles = serve.run_many(targets, wait_for_applications_running=False)
        self._await_running(max(e.start_timeout_s for e in engines))
        self._handles |= {e.name: h for e, h in zip(engines, handles, strict=True)}

    def _await_running(self, timeout_s: float) -> None:
        """Return when every application runs; raise HostError when one failed, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while True:
            states = {n: a for n, a in serve.status().applications.items() if n in self._applications}
            if len(states) == len(self._applications) and all(a.status == "RUNNING" for a in states.values()):
                return
            if any(a.status in ("DEPLOY_FAILED", "UNHEALTHY") for a in states.values()):
                raise RuntimeError("a host failed while it started")
            if time.monotonic() > deadline:
                raise HostError(
                    f"the hosts were not running after {timeout_s:g} s (start_timeout_s): weights may still be downloading, or the "
                    "cluster's CPUs or GPUs be in use"
                )
            time.sleep(0.1)

    def _start_ray(self, address: str | None, used: Sequence[EngineConfig]) -> None:
        for name in ("ray", "ray.serve"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if not ray.is_initialized():
            quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
            address = address or os.environ.get("RAY_ADDRESS")
            if address:
                ray.init(address=address, **quiet)
            else:
                wanted = sum(e.resources.num_cpus * e.resources.replicas for e in used)
                ray.init(address="local", num_cpus=max(os.cpu_count() or 1, math.ceil(wanted)), include_dashboard=False, **quiet)
            _OWN_RAY.started = True
        _OWN_RAY.users += 1
        self._uses_ray = True
        self._own_serve = not _serve_is_running()
        serve.start(proxy_location=NO_PROXY, logging_config=dict(QUIET))

    def stop(self) -> None:
        """Delete this council's hosts; stop Serve and Ray if they were started here and nobody else uses them."""
        if not self._uses_ray:
            return
        self._uses_ray = False
        _OWN_RAY.users -= 1
        try:
            for name in self._applications:
                serve.delete(name)
            ends_with_ray = _OWN_RAY.started and not _OWN_RAY.users
            if self._own_serve and not ends_with_ray and not serve.status().applications:
                serve.shutdown()  # type: ignore[no-untyped-call]
        except (RayError, RayServeException, RuntimeError, TimeoutError):
            logging.getLogger(__name__).debug("Serve had stopped already", exc_info=True)
        finally:
            self._applications, self._handles = [], {}
            if _OWN_RAY.started and not _OWN_RAY.users:
                _OWN_RAY.started = False
                ray.shutdown()
