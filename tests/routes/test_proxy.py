"""What Serve's proxy says in plain text comes out in the service's shape; what the service says is left as it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from council.routes.proxy import SAID, ProxyErrors, middlewares

if TYPE_CHECKING:
    from starlette.types import ASGIApp


async def through(app: ASGIApp, path: str = "/v1/council") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(ProxyErrors(app)), base_url="http://council") as client:
        return await client.get(path)


@pytest.mark.parametrize("status", SAID)
async def test_the_proxys_own_errors_have_our_shape(
    status: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    caplog.set_level("WARNING", "ray.serve")  # which councils of other tests may have silenced
    monkeypatch.setattr(logging.getLogger("ray.serve"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("ray"), "propagate", True)
    told = await through(PlainTextResponse("Traceback: /secret/path died", status))
    assert told.status_code == SAID[status].status and told.headers["content-type"] == "application/json"
    assert set(told.json()["error"]) == {"message", "type", "param", "code"} and "secret" not in told.text
    assert int(told.headers["content-length"]) == len(told.content)
    assert told.status_code == 504 or int(told.headers["retry-after"]) >= 1
    assert "secret" in caplog.text


async def test_a_request_that_the_proxy_says_nothing_of_gets_an_answer() -> None:
    async def silent(*_: object) -> None:
        """As the proxy does when a replica dies."""

    told = await through(silent)
    assert (told.status_code, told.json()["error"]["code"], told.headers["retry-after"]) == (503, "replica_lost", "1")


async def test_an_error_in_pieces_is_one_error() -> None:
    async def pieces() -> object:
        for piece in ("Internal", " ", "error"):
            yield piece

    told = await through(StreamingResponse(pieces(), 500, media_type="text/plain"))  # type: ignore[arg-type]
    assert (told.status_code, told.json()["error"]["code"]) == (503, "replica_lost")


@pytest.mark.parametrize(
    "response",
    [
        JSONResponse({"error": {"message": "ours"}}, 404), JSONResponse({"ready": False}, 503), PlainTextResponse("ray_council 1", 200),
        Response(b"", 404), PlainTextResponse("odd", 418), JSONResponse({"error": {}}, 500),
    ],
)  # fmt: skip
async def test_ours_are_left_alone(response: Response) -> None:
    told = await through(response)
    assert (told.status_code, told.content) == (response.status_code, response.body)


async def test_serves_own_addresses_are_left_alone() -> None:
    assert (await through(PlainTextResponse("no", 503), "/-/healthz")).text == "no"


def test_serve_is_given_it() -> None:
    (made,) = middlewares()
    assert getattr(made.cls, "__name__", "") == "ProxyErrors"
