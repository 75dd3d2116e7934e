"""The OpenAI-compatible part of HTTP: what a chat completion asks for, and how a verdict is told in its terms.

Source of the shapes: the OpenAI API reference, chat completions and models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from council.errors import QuestionError
from council.history import Turn
from council.types import Opinion, Verdict

COUNCIL: Final = "council"
ABSTAINS: Final = "I am not sure enough to answer that."
NOT_PASSED_ON: Final = "System messages are not passed on: the members have personas of their own."
MOST_CHOICES: Final = 8
LARGEST_SEED: Final = 2**63
"""No seed is as large, or its negative larger."""
Text = Annotated[str, Field(max_length=100_000)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class TextPart(Strict):
    """A piece of a message. Images, sound and files are not read."""

    type: Literal["text"]
    text: Text


class ChatMessage(Strict):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=100)] | None = None
    name: Annotated[str, Field(max_length=200)] | None = None
    refusal: None = None

    @property
    def text(self) -> str:
        """All of its text."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class ResponseFormat(Strict):
    """`json_object`: the answer, or the abstention, as an object."""

    type: Literal["text", "json_object"]


class StreamOptions(Strict):
    include_usage: bool = False
    include_obfuscation: bool = False


class ChatRequest(Strict):
    """What a chat completion may ask for here. What the members can't do is refused, rather than passed over. The last message is
    the user's question."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": COUNCIL, "messages": [{"role": "user", "content": "Who discovered the neutron?"}]}]}
    )

    model: Annotated[str, Field(max_length=200)] = COUNCIL
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=200)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = 1
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    seed: Annotated[int, Field(ge=-LARGEST_SEED, lt=LARGEST_SEED)] | None = None
    stop: Annotated[str, Field(min_length=1, max_length=200)] | Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=4)
    ] | None = None  # fmt: skip
    response_format: ResponseFormat | None = None
    top_p: Literal[1] | None = None
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None
    logprobs: Literal[False] | None = None
    user: Annotated[str, Field(max_length=500)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    store: Literal[False] | None = None
    domain: Annotated[str, Field(max_length=200)] | None = None
    """Not OpenAI's, as the three after it: only passages of this domain are retrieved."""
    retrieval: bool = True
    check: bool | None = None
    deadline_s: Annotated[float, Field(gt=0, le=86_400)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def longest(self) -> int | None:
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    def conversation(self) -> tuple[str, list[Turn], bool]:
        """The last question, what was said before it, and whether there are system messages. Raises QuestionError unless the
        last message is a user's, with a text."""
        *before, last = self.messages
        if last.role != "user":
            raise QuestionError(f"the last message must be the user's question, and is of the role {last.role!r}")
        turns = [Turn(role=m.role, content=m.text) for m in before if m.role in ("user", "assistant") and m.text.strip()]
        return last.text, turns, any(m.role in ("system", "developer") for m in before)


class PromptDetails(BaseModel):
    cached_tokens: int = 0


class Usage(BaseModel):
    """Tokens, summed over the members."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails = PromptDetails()

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> Usage:
        """Of all that the members were asked for these verdicts, what the check asked included."""
        opinions: list[Opinion] = []
        for verdict in verdicts:
            opinions += (*verdict.opinions, *(verdict.grounding.opinions if verdict.grounding else ()))
        heard = [o for o in opinions if o.output_tokens or o.error is None]
        prompt, output = sum(o.prompt_tokens for o in heard), sum(o.output_tokens for o in heard)
        cached = sum(o.cached_tokens or 0 for o in heard)
        return cls(
            prompt_tokens=prompt, completion_tokens=output, total_tokens=prompt + output,
            prompt_tokens_details=PromptDetails(cached_tokens=cached),
        )  # fmt: skip


class Reply(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: int
    message: Reply
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class Completion(BaseModel):
    """A chat completion; `council` holds the whole verdict, of each choice where there are several."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: str
    council: Verdict | list[Verdict]


def content_of(verdict: Verdict, as_json: bool = False) -> str:
    """What a person is told: the answer, or a polite sentence and the reason. As JSON: an object of both and the status."""
    if as_json:
        sources = [{"id": s.id, "title": s.title, "source": s.provenance.source} for s in verdict.sources]
        told = {"status": verdict.status, "answer": verdict.answer, "reason": verdict.reason, "sources": sources}
        return json.dumps(told, ensure_ascii=False)
    return verdict.answer if verdict.status == "answered" and verdict.answer else f"{ABSTAINS} {verdict.reason}"


def completion(id: str, created: int, model: str, fingerprint: str, verdicts: Sequence[Verdict], as_json: bool) -> Completion:
    """Verdicts, one a choice, as a completion."""
    choices = [Choice(index=i, message=Reply(content=content_of(v, as_json))) for i, v in enumerate(verdicts)]
    return Completion(
        id=id, created=created, model=model, choices=choices, usage=Usage.of(verdicts), system_fingerprint=fingerprint,
        council=verdicts[0] if len(verdicts) == 1 else list(verdicts),
    )  # fmt: skip


def chunks(made: Completion, include_usage: bool) -> Iterator[dict[str, Any]]:
    """The same as the chunks of a stream: the role, the text and the end of each choice, the verdict with the last of them, and
    the usage if it is asked for. The text comes in one piece: before the vote nobody knows it."""
    shared = {"id": made.id, "object": "chat.completion.chunk", "created": made.created, "model": made.model}
    shared["system_fingerprint"] = made.system_fingerprint
    if include_usage:
        shared["usage"] = None

    def chunk(index: int, delta: dict[str, str], finish: str | None) -> dict[str, Any]:
        return shared | {"choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    for choice in made.choices:
        yield chunk(choice.index, {"role": "assistant", "content": ""}, None)
        yield chunk(choice.index, {"content": choice.message.content}, None)
    for choice in made.choices:
        last = choice.index == len(made.choices) - 1
        verdicts = made.model_dump(mode="json")["council"]
        yield chunk(choice.index, {}, "stop") | ({"council": verdicts} if last else {})
    if include_usage:
        yield shared | {"choices": [], "usage": made.usage.model_dump(mode="json")}


class Kind(BaseModel):
    """What a model's name stands for."""

    kind: Literal["council", "policy", "specialist"]
    domain: str | None = None
    description: str = ""


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = COUNCIL
    council: Kind


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class ErrorBody(BaseModel):
    """What went wrong, in one sentence."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorReply(BaseModel):
    error: ErrorBody
    council: Verdict | None = None
    """The verdict, where it is that which failed."""
