"""The Ray Serve application of a council: its hosts, its replicas behind HTTP, and the command that runs them.

`council serve` runs it here; `serve run` and `serve deploy` run what `council serve --write-config` writes, by `build`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httpx
import ray
from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from council.app import build_app
from council.config import CouncilConfig, load_config
from council.errors import StartError
from council.keys import KeyRing, default_keys
from council.limits import RateLimiter
from council.metrics import Metrics
from council.orchestrator import Council
from council.service import Service
from specialists.config import EngineConfig
from specialists.deployment import check_weights, host_deployment
from specialists.hosts import Hosts
from specialists.protocol import EngineError

APPLICATION: Final = "council"
FRONT: Final = "council"
SPARE_REQUESTS: Final = 32
"""Requests beyond those at work and waiting that reach a replica at once: probes, documents, and questions that it refuses."""
AT_THE_PROXY: Final = 192
"""Requests that wait at a proxy when the replicas have no room even to refuse; more are refused there, which costs least."""
RETRY_S: Final = 5.0
LOGGING: Final = {"encoding": "JSON", "log_level": "INFO", "enable_access_log": False}
"""One JSON object a line, with the request's id, in every replica."""
SCRAPE_S: Final = 5.0
COUNT_S: Final = 2.0
BEAT_S: Final = 5.0
"""How often each replica says that it is well."""


class BuildArgs(BaseModel):
    """What `build` is given: a config as a tree, or the name of a preset or a file."""

    model_config = ConfigDict(extra="forbid")

    config: dict[str, Any] | str


class Limits:
    """The rates of all keys, counted in one place for all replicas."""

    def __init__(self) -> None:
        self._limiter = RateLimiter()

    async def take(self, id: str, per_minute: int | None) -> float:
        """0.0, or the seconds until the key may ask again."""
        return self._limiter.take(id, per_minute)


@serve.ingress()
class Front:
    """A replica of the council: the HTTP application around a council whose members are elsewhere."""

    def __init__(self, config: CouncilConfig, hosts: dict[str, DeploymentHandle[Any]], limits: DeploymentHandle[Any] | None = None) -> None:
        if config.service.tracing:
            from council import tracing

            tracing.start(config.name)
        self._council = Council(config, Hosts(hosts))
        self._council.start()
        keys = KeyRing(config.service.keys or default_keys()) if config.service.auth == "required" else None
        here = RateLimiter()
        count = None if limits is None else lambda id, per_minute: _take(limits, here, id, per_minute)
        self._service = Service(self._council, keys, Metrics(), scrape, count)

    def __serve_build_asgi_app__(self) -> Any:
        return build_app(self._service, labelled=False)  # Serve's proxy puts the request's id on every answer

    async def check_health(self) -> None:
        """Called by Serve every health-check period. Ray forgets gauges that are not set for long."""
        self._service.beat()

    async def drain(self) -> None:
        """Take no more questions."""
        self._service.draining = True

    async def busy(self) -> int:
        """Questions at work or waiting."""
        return self._service.admission.working + self._service.admission.waiting

    async def __del__(self) -> None:
        service, council = getattr(self, "_service", None), getattr(self, "_council", None)
        if service is not None:
            service.close()
        if council is not None:
            council.close()


async def _take(limits: DeploymentHandle[Any], here: RateLimiter, id: str, per_minute: int | None) -> float:
    """Counted for all replicas; while that can't be asked, by this one alone: a looser limit is better than no service."""
    if per_minute is None:
        return 0.0
    try:
        async with asyncio.timeout(COUNT_S):
            return float(await limits.take.remote(id, per_minute))
    except (TimeoutError, RayError, RayServeException):
        return here.take(id, per_minute)


async def scrape() -> str:
    """The council's metrics from every node that lives; those of a node that does not answer are missing."""
    loop = asyncio.get_running_loop()
    nodes = await loop.run_in_executor(None, ray.nodes)
    addresses = [f"http://{n['NodeManagerAddress']}:{n['MetricsExportPort']}/metrics" for n in nodes if n["Alive"]]
    async with httpx.AsyncClient(timeout=SCRAPE_S, trust_env=False) as client:
        replies = await asyncio.gather(*(client.get(a) for a in addresses), return_exceptions=True)
    return merged([r.text for r in replies if isinstance(r, httpx.Response) and r.status_code == 200])


def merged(texts: list[str]) -> str:
    """Prometheus texts as one, of the council's metrics alone: each name's help and type once, before its values."""
    heads: dict[str, list[str]] = {}
    values: dict[str, list[str]] = {}
    for text in texts:
        name = ""
        for line in text.splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                name = line.split(" ", 3)[2]
                known = heads.setdefault(name, [])
                if not any(line.split(" ", 3)[1] == head.split(" ", 3)[1] for head in known):
                    known.append(line)
            elif line and not line.startswith("#") and name and line.startswith(name):
                values.setdefault(name, []).append(line)
    ours = [name for name in values if name.startswith("ray_council_")]
    return "".join(f"{line}\n" for name in ours for line in (*heads[name], *values[name]))


def used_engines(config: CouncilConfig) -> list[EngineConfig]:
    """The engines that have a specialist."""
    return [e for e in config.engines if any(s.engine == e.name for s in config.specialists)]


def application(config: CouncilConfig) -> serve.Application:
    """The whole graph: a host for each engine, the council's replicas, and where there may be several of those, the place that
    counts the keys' rates. Raises StartError for weights that are not there."""
    settings = config.service
    used = used_engines(config)
    try:
        check_weights(used, config.specialists)
    except EngineError as exc:
        raise StartError(str(exc)) from exc
    grace_s = settings.deadline_s + 5.0
    hosts = {e.name: host_deployment(e, [s for s in config.specialists if s.engine == e.name], LOGGING, grace_s) for e in used}
    several = max(settings.replicas, settings.autoscale_to or 1) > 1
    scaling: dict[str, Any] = {"num_replicas": settings.replicas}
    if settings.autoscale_to is not None:
        wanted = {"min_replicas": settings.replicas, "max_replicas": settings.autoscale_to, "target_ongoing_requests": settings.concurrent}
        scaling = {"autoscaling_config": wanted}
    front = serve.deployment(
        name=FRONT, max_ongoing_requests=settings.concurrent + settings.queue + SPARE_REQUESTS, max_queued_requests=AT_THE_PROXY,
        backpressure_config={"status_code": 429, "retry_after_s": RETRY_S},
        ray_actor_options={"num_cpus": settings.num_cpus}, graceful_shutdown_timeout_s=grace_s, graceful_shutdown_wait_loop_s=0.5,
        max_constructor_retry_count=2, health_check_period_s=BEAT_S, logging_config=LOGGING, **scaling,
    )(Front)  # fmt: skip
    limits = (
        serve.deployment(name="limits", max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0}, logging_config=LOGGING)(Limits).bind()
        if several
        else None
    )
    bound: serve.Application = front.bind(config, hosts, limits)
    return bound


def build(args: dict[str, Any]) -> serve.Application:
    """The application of a Serve config file: `import_path: council.serve:build`. Its council asks for keys unless the config
    says `service.auth: off`, since nobody here knows the address that it will have."""
    config = BuildArgs.model_validate(args).config
    found = load_config(config) if isinstance(config, str) else load_config(CouncilConfig.model_validate(config))
    return application(with_auth(found, required=found.service.auth != "off"))


def with_auth(config: CouncilConfig, required: bool) -> CouncilConfig:
    """The config with `service.auth` decided."""
    decided = config.service.model_copy(update={"auth": "required" if required else "off"})
    return config.model_copy(update={"service": decided})
