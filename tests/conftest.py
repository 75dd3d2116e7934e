"""What many tests share: one Ray for the whole session, councils on scripted engines."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

MEMBERS = ("medicine", "law", "finance", "physics", "computing")


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray and one Serve for all tests: councils join it, and leave it running. Its proxy listens on a port of its own."""
    import ray
    from ray import serve

    from council.routes.proxy import CALLBACK
    from tests.serving import PORT

    os.environ.setdefault("RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", CALLBACK)
    ray.init(address="local", num_cpus=8, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": PORT})
    yield
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


def scripted_config(
    answers: dict[str, dict[str, str]] | None = None, hosts: int = 1, name: str = "scripted", **options: Any
) -> dict[str, Any]:
    """A council of five scripted members spread over `hosts` engines, as the tree of a config."""
    engines = [
        {
            "name": f"script-{i}", "kind": "scripted", "options": {"answers": answers or {}, **options},
            "resources": {"num_cpus": 0.1}, "health_check_period_s": 1.0,
        }
        for i in range(hosts)
    ]  # fmt: skip
    specialists = [
        {
            "name": m, "engine": f"script-{i % hosts}", "domain": m, "persona": f"You are a specialist in {m}.",
            "description": f"All about {m}.",
        }
        for i, m in enumerate(MEMBERS)
    ]  # fmt: skip
    return {"name": name, "engines": engines, "specialists": specialists}
