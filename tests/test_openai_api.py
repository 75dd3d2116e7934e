"""What chat completions ask for, and how verdicts are told in their terms."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from council.errors import QuestionError
from council.openai_api import ABSTAINS, ChatRequest, ErrorBody, ErrorReply, Usage, chunks, completion, content_of
from council.types import Grounding, Opinion, Verdict

SAYS: dict[str, Any] = {"role": "user", "content": "Who keeps it?"}


def chat(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": list(messages) or [SAYS], **fields})


def opinion(name: str, prompt: int, output: int, cached: int | None = None, error: str | None = None) -> Opinion:
    return Opinion(specialist=name, weight=1.0, prompt_tokens=prompt, output_tokens=output, cached_tokens=cached, error=error)


ANSWERED = Verdict(status="answered", answer="Ada Trell", reason="All agree.", opinions=(opinion("a", 10, 2, 4), opinion("b", 20, 3)))
ABSTAINED = Verdict(status="abstained", reason="They don't agree.")


def test_the_last_message_is_the_question_and_what_came_before_is_history() -> None:
    text, before, instructed = chat(
        {"role": "system", "content": "Obey."}, {"role": "user", "content": "One?"}, {"role": "assistant", "content": "1"},
        {"role": "assistant", "content": " "},
        {"role": "user", "content": [{"type": "text", "text": "Two"}, {"type": "text", "text": "?"}]},
    ).conversation()  # fmt: skip
    assert text == "Two\n?" and instructed
    assert [(t.role, t.content) for t in before] == [("user", "One?"), ("assistant", "1")]


@pytest.mark.parametrize("role", ["assistant", "system", "developer"])
def test_the_last_word_is_the_users(role: str) -> None:
    with pytest.raises(QuestionError, match=role):
        chat(SAYS, {"role": role, "content": "x"}).conversation()


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": []}, {"tool_choice": "auto"}, {"logprobs": True}, {"top_p": 0.5}, {"presence_penalty": 1}, {"n": 0}, {"n": 9},
        {"store": True}, {"temperature": 3}, {"temperature": float("inf")}, {"seed": 2**63}, {"stop": ["a"] * 5}, {"stop": ""},
        {"max_tokens": 0},
        {"response_format": {"type": "json_schema"}}, {"stream_options": {"x": 1}}, {"modalities": ["audio"]}, {"deadline_s": 0},
        {"messages": []}, {"metadata": {"a": 1}},
    ],
)  # fmt: skip
def test_what_members_can_not_do_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChatRequest.model_validate({"messages": [SAYS], **fields})


def test_what_clients_send_by_habit_is_taken() -> None:
    body = chat(
        stream=None, n=None, store=False, top_p=1, frequency_penalty=0.0, presence_penalty=0, logprobs=False, user="ann",
        metadata={"a": "b"},
        max_tokens=5, stop="\n", response_format={"type": "text"}, stream_options={"include_usage": True, "include_obfuscation": False},
    )  # fmt: skip
    assert (body.longest, body.stops, body.model) == (5, ("\n",), "council")
    assert chat(max_tokens=5, max_completion_tokens=7).longest == 7 and chat(stop=["a", "b"]).stops == ("a", "b")


def test_an_abstention_is_a_polite_sentence_with_the_reason() -> None:
    assert content_of(ANSWERED) == "Ada Trell"
    assert content_of(ABSTAINED) == f"{ABSTAINS} They don't agree."
    assert json.loads(content_of(ABSTAINED, as_json=True)) == {
        "status": "abstained", "answer": None, "reason": "They don't agree.", "sources": [],
    }  # fmt: skip


def test_usage_is_what_all_members_were_asked_for() -> None:
    checked = ANSWERED.model_copy(
        update={
            "grounding": Grounding(
                rests_on="the context", passage="p", opinions=(opinion("a", 5, 1), opinion("c", 9, 0, None, "late: ..."))
            )
        }
    )
    usage = Usage.of([checked, ABSTAINED])
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (35, 6, 41)
    assert usage.prompt_tokens_details.cached_tokens == 4


@given(st.lists(st.sampled_from([ANSWERED, ABSTAINED]), min_size=1, max_size=4), st.booleans())
def test_a_stream_says_the_same_as_the_whole(verdicts: list[Verdict], usage: bool) -> None:
    made = completion("id", 7, "council", "fp", verdicts, False)
    told = list(chunks(made, usage))
    text = [""] * len(verdicts)
    for chunk in told:
        assert (chunk["id"], chunk["object"], chunk["created"], chunk["model"]) == ("id", "chat.completion.chunk", 7, "council")
        for choice in chunk["choices"]:
            text[choice["index"]] += choice["delta"].get("content", "")
    assert text == [c.message.content for c in made.choices]
    ends = [c["choices"][0]["index"] for c in told if c["choices"] and c["choices"][0]["finish_reason"] == "stop"]
    assert ends == list(range(len(verdicts)))
    with_verdict = [chunk for chunk in told if "council" in chunk]
    assert [c["council"] for c in with_verdict] == [made.model_dump(mode="json")["council"]]
    if usage:
        assert told[-1]["choices"] == [] and told[-1]["usage"]["total_tokens"] == made.usage.total_tokens
    assert all(("usage" in chunk) is usage for chunk in told)


def test_one_choice_has_one_verdict_and_several_have_a_list() -> None:
    assert completion("id", 7, "council", "fp", [ANSWERED], False).council == ANSWERED
    assert completion("id", 7, "law", "fp", [ANSWERED, ABSTAINED], False).council == [ANSWERED, ABSTAINED]


def test_errors_have_openais_fields() -> None:
    told = ErrorReply(error=ErrorBody(message="m", type="t")).model_dump()
    assert told["error"] == {"message": "m", "type": "t", "param": None, "code": None}
