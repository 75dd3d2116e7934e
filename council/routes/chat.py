"""POST /v1/chat/completions and GET /v1/models, as OpenAI's clients know them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, get_args

from fastapi import APIRouter, Request, Response

from council.config import AskingPolicy, CouncilConfig, fingerprint
from council.events import told
from council.openai_api import COUNCIL, LARGEST_SEED, NOT_PASSED_ON, ChatRequest, Completion, Kind, Model, ModelList, chunks, completion
from council.options import Options
from council.routes.caller import Caller, RequestId, ServiceDep, allow
from council.routes.refusals import Refusal, documented
from council.routes.streaming import documented_events, event, first_of, streamed, unless_gone
from council.service import Asking, Service
from council.types import Verdict

router = APIRouter(tags=["OpenAI"])
STARTED = int(time.time())
POLICIES: tuple[AskingPolicy, ...] = get_args(AskingPolicy)
STREAM: dict[str, Any] = {
    "description": "The completion, with the whole verdict in `council`; with `stream`, its chunks as server-sent events, the verdict in "
    "the last but for the usage.",
    "content": documented_events(),
}


def models(config: CouncilConfig) -> dict[str, Kind]:
    """What may be asked, by name: the council, the council under each policy, each specialist."""
    listed = {COUNCIL: Kind(kind="council", description=f"All {len(config.specialists)} specialists, as the config says.")}
    listed |= {f"{COUNCIL}/{p}": Kind(kind="policy", description=f"The council, asking under the policy {p}.") for p in POLICIES}
    return listed | {s.name: Kind(kind="specialist", domain=s.domain, description=s.description) for s in config.specialists}


def _model(config: CouncilConfig, name: str) -> Model:
    known = models(config)
    if name not in known:
        raise Refusal(404, f"there is no model {name!r}; there are: {', '.join(known)}", "model_not_found", "model")
    return Model(id=name, created=STARTED, council=known[name])


@router.get("/v1/models", responses=documented(401, 429, 500), operation_id="list_models")
async def list_models(service: ServiceDep, grant: Caller) -> ModelList:
    """What this caller may ask."""
    return ModelList(data=[_model(service.config, name) for name in models(service.config) if grant.allows(name)])


@router.get("/v1/models/{name:path}", responses=documented(401, 403, 404, 429, 500), operation_id="get_model")
async def get_model(name: str, service: ServiceDep, grant: Caller) -> Model:
    """One of them."""
    found = _model(service.config, name)
    allow(grant, name)
    return found


def _options(body: ChatRequest, config: CouncilConfig) -> Options:
    """How the model that is named is asked. Refuses what it can't do."""
    kind = _model(config, body.model).council.kind
    if kind != "specialist" and (body.n or 1) > 1:
        raise Refusal(400, "n: the council gives one verdict; only a single specialist gives several choices", "invalid_value", "n")
    if kind == "specialist" and body.check:
        raise Refusal(400, "check: a single specialist agrees with nobody, so that there is nothing to check", "invalid_value", "check")
    room = min(e.max_context for e in config.engines)
    if body.longest is not None and body.longest >= room:
        raise Refusal(400, f"max_tokens: {body.longest} leaves no room in a context of {room} tokens", "invalid_value", "max_tokens")
    policy = next((p for p in POLICIES if body.model == f"{COUNCIL}/{p}"), None)
    return Options(
        body.retrieval, (body.model,) if kind == "specialist" else None, body.check, policy, body.deadline_s,
        kind == "specialist", body.longest, body.temperature, body.seed, body.stops,
    )  # fmt: skip


def _asking(body: ChatRequest, service: Service, grant: Caller, id: str) -> tuple[Asking, list[str]]:
    """The question of a chat, and what its asker should know."""
    allow(grant, body.model)
    text, before, instructed = body.conversation()
    options = _options(body, service.config)
    asking = Asking(text, grant, id, "POST /v1/chat/completions", body.model, before, body.domain, (), options, 503)
    return asking, [NOT_PASSED_ON] if instructed else []


@router.post(
    "/v1/chat/completions", response_model=Completion, responses=documented(400, 401, 403, 404, 408, 413, 429, 500, 503, 504, ok=STREAM),
    operation_id="create_chat_completion",
)  # fmt: skip
async def complete(body: ChatRequest, request: Request, service: ServiceDep, grant: Caller, id: RequestId) -> Response:
    """A chat completion. An abstention is one, too: a polite sentence, and the status in `council`. Too few votes are an error."""
    asking, notes = _asking(body, service, grant, id)
    request.state.recorded = True
    if body.stream:
        return streamed(await unless_gone(request, first_of(_steps(body, service, asking, notes))), lambda step: step)
    verdicts = await unless_gone(request, _choices(body, service, asking))
    return Response(_completed(body, service, verdicts, notes).model_dump_json(), media_type="application/json")


async def _choices(body: ChatRequest, service: Service, asking: Asking) -> Sequence[Verdict]:
    """A verdict for each choice; several of a specialist differ by their seeds."""
    if (body.n or 1) == 1:
        return [await service.ask(asking)]
    first = asking.options.seed or 0
    seeds = [first + i if first + i < LARGEST_SEED else i for i in range(body.n or 1)]
    each = [replace(asking, options=replace(asking.options, seed=seed)) for seed in seeds]
    tasks = [asyncio.create_task(service.ask(one)) for one in each]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:  # if one failed, the others are for nothing
            task.cancel()


def _completed(body: ChatRequest, service: Service, verdicts: Sequence[Verdict], notes: Sequence[str]) -> Completion:
    failed = next((v for v in verdicts if v.status == "failed"), None)
    if failed is not None:
        raise Refusal(503, failed.reason, "too_few_votes", verdict=failed)
    told = [v.model_copy(update={"warnings": (*v.warnings, *notes)}) for v in verdicts] if notes else verdicts
    as_json = body.response_format is not None and body.response_format.type == "json_object"
    return completion(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), body.model, f"council-{fingerprint(service.config)}", told, as_json)


async def _steps(body: ChatRequest, service: Service, asking: Asking, notes: Sequence[str]) -> AsyncIterator[bytes]:
    """The events of a stream. The first comes when the question has found a place, so that a refusal still has its status."""
    verdicts: Sequence[Verdict] = []
    if (body.n or 1) == 1:
        async for happened in told(lambda tell: service.ask(asking, tell)):
            if isinstance(happened, Verdict):
                verdicts = [happened]
            else:
                yield b": working\n\n"
    else:
        verdicts = await _choices(body, service, asking)
    usage = body.stream_options is not None and body.stream_options.include_usage
    for chunk in chunks(_completed(body, service, verdicts, notes), usage):
        yield event(chunk)
    yield event("[DONE]")
