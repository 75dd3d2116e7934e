"""What the service is, and how it is: for pages, probes and Prometheus."""

from __future__ import annotations

from typing import Final, Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from council.config import AskingPolicy
from council.routes.caller import Caller, ServiceDep
from council.routes.chat import POLICIES
from council.routes.refusals import Refusal, documented

router = APIRouter(tags=["operations"])
TEXT: Final = {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format."}


class Described(BaseModel):
    """A specialist."""

    name: str
    domain: str
    description: str
    engine: str
    model: str
    base_model: str


class Limits(BaseModel):
    question_chars: int
    upload_bytes: int
    deadline_s: float


class Info(BaseModel):
    """The council, as its page shows it."""

    name: str
    version: str
    auth: bool
    tenant: str
    min_agreement: float
    quorum: int
    policies: tuple[AskingPolicy, ...]
    specialists: list[Described]
    limits: Limits
    documents: bool
    """Whether the caller may change documents."""


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


class MemberState(BaseModel):
    ok: bool
    detail: str


class Ready(BaseModel):
    """Ready when a quorum of members is well, and the service does not go down."""

    ready: bool
    members: dict[str, MemberState]


@router.get("/v1/info", responses=documented(401, 429, 500), operation_id="get_info")
async def info(service: ServiceDep, grant: Caller) -> Info:
    """Who is in this council, and what its limits are."""
    from council import __version__

    config, settings = service.config, service.settings
    engines = {e.name: e for e in config.engines}
    members = [
        Described(
            name=s.name, domain=s.domain, description=s.description, engine=engines[s.engine].kind,
            model=s.adapter or engines[s.engine].model or "", base_model=s.base_model,
        )
        for s in config.specialists
    ]  # fmt: skip
    return Info(
        name=config.name, version=__version__, auth=service.keys is not None, tenant=grant.tenant,
        min_agreement=config.aggregator.min_agreement, quorum=config.aggregator.quorum, policies=POLICIES, specialists=members,
        limits=Limits(question_chars=settings.question_chars, upload_bytes=settings.upload_bytes, deadline_s=settings.deadline_s),
        documents=grant.documents == "write",
    )  # fmt: skip


@router.get("/health", operation_id="get_health", responses=documented(500))
async def health() -> Alive:
    """The service runs."""
    return Alive()


@router.get(
    "/ready", response_model=Ready, operation_id="get_ready",
    responses=documented(500, unready={"model": Ready, "description": "Too few members are well, or the service goes down."}),
)  # fmt: skip
async def ready(service: ServiceDep) -> Response:
    """The service can answer."""
    found = await service.readiness()
    members = {name: MemberState(ok=ok, detail=detail) for name, (ok, detail) in found.members.items()}
    told = Ready(ready=found.ready, members=members)
    return JSONResponse(told.model_dump(), 200 if found.ready else 503)


@router.get(
    "/metrics", response_class=Response, operation_id="get_metrics",
    responses=documented(404, 500, 503, ok=TEXT),
)  # fmt: skip
async def metrics(service: ServiceDep) -> Response:
    """The council's metrics, of all its nodes. They hold no text of questions or documents, and ask for no key; who may reach this
    address is the operator's to say, by the network."""
    if service.scrape is None:
        raise Refusal(404, "this service exports no metrics", "no_metrics")
    return PlainTextResponse(await service.scrape(), media_type="text/plain; version=0.0.4")
