"""`council serve`: Ray and Serve on this machine or on a cluster, the council behind them, until it is told to stop."""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import ray
import yaml
from ray import serve
from ray.exceptions import RayError
from ray.serve.context import _get_global_client
from ray.serve.exceptions import RayServeException

from council.config import CouncilConfig
from council.errors import ConfigError, KeysError, StartError
from council.keys import KeyRing, default_keys
from council.routes.proxy import CALLBACK
from council.serve import APPLICATION, application, used_engines, with_auth
from specialists.deployment import check_resources, why_failed

CALLBACK_VARIABLE: Final = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def decide_auth(config: CouncilConfig, host: str, open_to_all: bool) -> CouncilConfig:
    """Whether keys are asked for at this address. Raises ConfigError where they would be, and there is none."""
    settings = config.service
    required = settings.auth == "required" or (settings.auth == "auto" and (settings.keys is not None or not is_loopback(host)))
    if open_to_all:
        required = False
    if settings.auth == "off" and not is_loopback(host) and not open_to_all:
        raise ConfigError(
            f"service.auth is off, and {host} is reached from elsewhere: say --open if anybody may ask, or set it to required"
        )
    if required:
        try:
            KeyRing(Path(settings.keys or default_keys())).check()
        except KeysError as exc:
            raise ConfigError(f"{host} asks for keys: {exc}; or say --open, if anybody may ask") from exc
    return with_auth(config, required)


def write_config(config: CouncilConfig, host: str, port: int, path: Path) -> None:
    """A file for `serve run` and `serve deploy`. Raises ConfigError."""
    tree = {
        "proxy_location": "EveryNode",
        "http_options": {"host": host, "port": port},
        "logging_config": {"encoding": "JSON"},
        "applications": [
            {
                "name": APPLICATION, "route_prefix": "/", "import_path": "council.serve:build",
                "args": {"config": config.model_dump(mode="json")},
                "runtime_env": {"env_vars": {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": CALLBACK}},
            }
        ],
    }  # fmt: skip
    head = (
        "# Written by `council serve --write-config`. Run it: `serve run FILE`, or `serve deploy FILE` on a cluster.\n"
        f"# For errors of Serve's proxies in the service's shape, start its nodes with {CALLBACK_VARIABLE}={CALLBACK}\n"
    )
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(head + yaml.safe_dump(tree, sort_keys=False), "utf-8")
        beside.replace(path)
    except OSError as exc:
        beside.unlink(missing_ok=True)
        raise ConfigError(f"{path} can't be written: {exc.strerror}") from exc


class Server:
    """A council behind an address, from `start` to `stop`."""

    def __init__(self, config: CouncilConfig, host: str, port: int) -> None:
        self.config, self.host, self.port = config, host, port
        self._own_ray = self._own_serve = self._deployed = False

    @property
    def url(self) -> str:
        """Where it is reached from this machine."""
        at_any = self.host in ("0.0.0.0", "::")
        return f"http://{'127.0.0.1' if at_any else f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def start(self) -> None:
        """Return when members and council answer. Raises StartError, and stops what had started."""
        used = used_engines(self.config)
        try:
            graph = application(self.config)
            self._start_ray()
            settings = self.config.service
            check_resources(used, settings.num_cpus * settings.replicas)
            if APPLICATION in serve.status().applications:
                raise StartError(f"this cluster serves a {APPLICATION!r} already: update it with `serve deploy`, or delete it first")
            self._deployed = True
            serve.run(graph, name=APPLICATION, route_prefix="/", blocking=False)
        except (ConfigError, StartError):
            self.stop()
            raise
        except Exception as exc:
            reason = (why_failed(APPLICATION) if ray.is_initialized() else None) or str(exc).strip().splitlines()[-1]
            self.stop()
            raise StartError(f"the council could not be started: {reason}") from exc

    def _start_ray(self) -> None:
        for name in ("ray", "ray.serve"):
            logging.getLogger(name).setLevel(logging.ERROR)
        address = self.config.ray_address or os.environ.get("RAY_ADDRESS")
        os.environ.setdefault(CALLBACK_VARIABLE, CALLBACK)  # the workers of a Ray that starts here inherit it
        if not ray.is_initialized():
            settings = self.config.service
            wanted = sum(e.resources.num_cpus * e.resources.replicas for e in used_engines(self.config))
            cpus = None if address else max(os.cpu_count() or 1, math.ceil(wanted + settings.num_cpus * settings.replicas))
            own: dict[str, Any] = {} if address else {"num_cpus": cpus, "include_dashboard": False}
            ray.init(address=address or "local", logging_level=logging.ERROR, log_to_driver=False, **own)
            self._own_ray = True
        self._own_serve = "SERVE_CONTROLLER_ACTOR" not in _serve_actors()
        if self._own_serve:
            check_port(self.host, self.port)
        where = "EveryNode" if address else "HeadOnly"
        serve.start(proxy_location=where, http_options={"host": self.host, "port": self.port}, logging_config={"log_level": "ERROR"})
        if not self._own_serve:
            client = _get_global_client()
            assert client is not None
            there = client.http_config  # keys were decided on for the address that was named
            if (there.host, there.port) != (self.host, self.port):
                raise StartError(f"Serve runs there already, at {there.host}:{there.port}: say --host {there.host} --port {there.port}")

    def drain(self, within_s: float) -> int:
        """Take no more questions, and wait for those that are there; returns how many were not done `within_s`."""
        front = serve.get_app_handle(APPLICATION)
        ends = time.monotonic() + within_s
        front.broadcast("drain").results(timeout_s=within_s)
        left = 1
        while left and (left_s := ends - time.monotonic()) > 0:
            left = sum(front.broadcast("busy").results(timeout_s=max(0.1, left_s)))
            time.sleep(0.1)
        return int(left)

    def stop(self) -> None:
        """Take the council down, and Serve and Ray where they were started here."""
        try:
            if ray.is_initialized():
                if self._deployed:
                    self._deployed = False
                    with suppress(TimeoutError):  # Serve's wait is shorter than the longest question
                        serve.delete(APPLICATION)
                if self._own_serve and not set(serve.status().applications) - {APPLICATION}:
                    serve.shutdown()  # type: ignore[no-untyped-call]
        except (RayError, RayServeException, RuntimeError, TimeoutError):
            logging.getLogger(__name__).debug("Serve had stopped already", exc_info=True)
        finally:
            if self._own_ray:
                self._own_ray = False
                ray.shutdown()


def _serve_actors() -> set[str]:
    return {actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True) if actor["namespace"] == "serve"}


def check_port(host: str, port: int) -> None:
    """Raises StartError for an address that can't be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as exc:
            told = getattr(exc, "strerror", None) or str(exc)
            raise StartError(f"{host}:{port} can't be listened on ({told}): choose another with --host and --port") from exc


def serve_until_told(server: Server, ready: Callable[[], None]) -> int:
    """Start; call `ready`; at SIGTERM or SIGINT finish what is at work, at most the longest a question may take, and stop. Returns
    how many questions were given up. A second signal does not wait."""
    told = threading.Event()
    listened = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def listen() -> None:
        for number in listened:
            signal.signal(number, lambda *_: told.set())

    listen()
    try:
        server.start()
        listen()  # Ray has put handlers of its own in their place
        ready()
        told.wait()
        told.clear()
        left: list[int] = []
        draining = threading.Thread(target=lambda: left.append(_drained(server)), daemon=True)
        draining.start()
        while draining.is_alive() and not told.is_set():
            draining.join(0.2)
        return left[0] if left else 1
    finally:
        server.stop()
        for number, handler in listened.items():
            signal.signal(number, handler)


def _drained(server: Server) -> int:
    try:
        return server.drain(server.config.service.deadline_s)
    except (RayError, RayServeException, RuntimeError, TimeoutError):
        return 1
