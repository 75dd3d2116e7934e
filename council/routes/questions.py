"""POST /v1/council: a question in, a verdict out, and what happens on the way."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field

from council.config import AskingPolicy
from council.events import NAMES, Event, told
from council.history import Turn
from council.openai_api import COUNCIL, Strict
from council.options import Options
from council.routes.caller import Caller, RequestId, ServiceDep, allow
from council.routes.refusals import documented
from council.routes.streaming import documented_events, event, first_of, streamed, unless_gone
from council.service import Asking
from council.types import Verdict

router = APIRouter(tags=["council"])
Word = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=100_000)]
STREAM: dict[str, Any] = {
    "description": "The verdict; with `stream`, server-sent events: routed, retrieved, asked, opinion, vote, verdict (or error), each with "
    "one line of JSON.",
    "content": documented_events(*NAMES.values(), "error"),
}


class SaidBefore(Strict):
    """A turn of the conversation before the question."""

    role: Annotated[str, Field(pattern="^(user|assistant)$")]
    content: Text


class CouncilRequest(Strict):
    """A question, and how it is to be answered where that differs from the config."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"question": "Who discovered the neutron?", "policy": "escalate"}]})

    question: Annotated[Text, Field(json_schema_extra={"minLength": 1, "pattern": r"\S"})]
    domain: Word | None = None
    queries: Annotated[tuple[Word, ...], Field(max_length=8)] = ()
    specialists: Annotated[list[Word], Field(min_length=1, max_length=100)] | None = None
    retrieval: bool = True
    policy: AskingPolicy | None = None
    check: bool | None = None
    deadline_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    history: Annotated[tuple[SaidBefore, ...], Field(max_length=200)] = ()
    stream: bool = False

    @property
    def model(self) -> str:
        """The name under which a key allows it."""
        return COUNCIL if self.policy is None else f"{COUNCIL}/{self.policy}"

    def options(self) -> Options:
        named = tuple(self.specialists) if self.specialists else None
        return Options(self.retrieval, named, self.check, self.policy, self.deadline_s)


@router.post(
    "/v1/council", response_model=Verdict, responses=documented(400, 401, 403, 408, 413, 429, 500, 503, 504, ok=STREAM),
    operation_id="ask_council",
)  # fmt: skip
async def ask(body: CouncilRequest, request: Request, service: ServiceDep, grant: Caller, id: RequestId) -> Response:
    """Ask the council. The verdict's status says whether it answered, abstained, or failed for want of votes."""
    allow(grant, body.model)
    for name in body.specialists or ():
        allow(grant, name)
    before = [Turn.model_validate(t.model_dump()) for t in body.history]
    asking = Asking(
        body.question, grant, id, "POST /v1/council", body.model, before, body.domain, body.queries, body.options()
    )  # fmt: skip
    request.state.recorded = True
    if body.stream:
        events = await unless_gone(request, first_of(told(lambda tell: service.ask(asking, tell))))
        return streamed(events, _rendered)
    verdict = await unless_gone(request, service.ask(asking))
    return Response(verdict.model_dump_json(), media_type="application/json")


def _rendered(happened: Event) -> bytes:
    return event(happened.model_dump_json(), NAMES[type(happened)])
