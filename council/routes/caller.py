"""Who calls, and what they may: dependencies of the routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from council.keys import Grant
from council.routes.refusals import Refusal
from council.service import Service

bearer = HTTPBearer(auto_error=False, description="A key of `council keys add`, where the service asks for keys.")


async def served(request: Request) -> Service:
    """The service behind this application."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(served)]


def identified(service: Service, key: str | None) -> Grant:
    """What a key allows. Refuses with 401."""
    grant = service.grant(key)
    if grant is None:
        what = "no API key was sent" if key is None else "this API key is not known here"
        message = f"{what}: send the header `Authorization: Bearer KEY` with a key of `council keys add`"
        raise Refusal(401, message, "invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
    return grant


async def caller(
    request: Request, service: ServiceDep, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
) -> Grant:
    """What the request's key allows. Refuses with 401, and with 429 above the key's rate."""
    grant = identified(service, credentials.credentials if credentials is not None else None)
    request.state.grant = grant
    await service.count(grant)
    return grant


Caller = Annotated[Grant, Depends(caller)]


async def reader(grant: Caller) -> Grant:
    """A caller who may see documents."""
    if grant.documents == "none":
        raise Refusal(403, "this key may not see documents", "documents_not_allowed")
    return grant


async def writer(grant: Caller) -> Grant:
    """A caller who may change documents."""
    if grant.documents != "write":
        raise Refusal(403, "this key may not change documents", "documents_not_allowed")
    return grant


Reader = Annotated[Grant, Depends(reader)]
Writer = Annotated[Grant, Depends(writer)]


def allow(grant: Grant, model: str) -> None:
    """Refuses with 403 a model that the key does not allow."""
    if not grant.allows(model):
        raise Refusal(403, f"this key may not ask the model {model!r}", "model_not_allowed", "model")


async def request_id(request: Request) -> str:
    """The id that the envelope gave this request."""
    found: str = request.state.request_id
    return found


RequestId = Annotated[str, Depends(request_id)]
