"""Councils behind HTTP, on the Serve that all tests share."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


PORT: Final = free_port()
URL: Final = f"http://127.0.0.1:{PORT}"


@contextmanager
def serving(tree: Mapping[str, Any], asks_for_keys: bool = False) -> Iterator[str]:
    """The address of a council's service, which is up meanwhile; one at a time. It wants the fixture ray_session. `tree` is that of
    a config; keys are read from its `service.keys`."""
    from ray import serve

    from council import CouncilConfig
    from council.serve import APPLICATION, application, with_auth

    config = CouncilConfig.model_validate({**tree, "service": {"num_cpus": 0.1, **tree.get("service", {})}})
    serve.run(application(with_auth(config, asks_for_keys)), name=APPLICATION, route_prefix="/")
    try:
        yield URL
    finally:
        serve.delete(APPLICATION)
