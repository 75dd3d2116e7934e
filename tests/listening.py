"""A service behind a real port of this process: its HTTP without Serve's, its members on the Ray that all tests share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from council import Council, CouncilConfig
from council.app import build_app
from council.keys import KeyRing
from council.service import Service
from tests.serving import free_port


@dataclass(frozen=True)
class Listening:
    """Where it listens, and the service behind it, whose methods belong to its own loop."""

    url: str
    port: int
    service: Service
    app: Any


@contextmanager
def service_of(tree: Mapping[str, Any], keys: Path | None = None) -> Iterator[Service]:
    """A service around a council of its own. It wants the fixture ray_session."""
    with Council(CouncilConfig.model_validate(dict(tree))) as council:
        service = Service(council, None if keys is None else KeyRing(keys))
        yield service
        service.close()


@contextmanager
def listening(tree: Mapping[str, Any], keys: Path | None = None) -> Iterator[Listening]:
    """The same, behind HTTP."""
    with service_of(tree, keys) as service:
        port, app = free_port(), build_app(service)
        server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="critical", timeout_graceful_shutdown=1))
        started = threading.Event()

        async def run() -> None:
            serving = asyncio.ensure_future(server.serve())
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            started.set()
            await serving

        thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        thread.start()
        assert started.wait(30) and server.started
        try:
            yield Listening(f"http://127.0.0.1:{port}", port, service, app)
        finally:
            server.should_exit = True
            thread.join(30)
