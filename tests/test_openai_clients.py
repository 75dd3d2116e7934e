"""The OpenAI-compatible API as other people's clients use it: openai, LangChain and lm-evaluation-harness."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import SecretStr

from council import CouncilClient, Verdict, load_config
from council.config import presets
from council.keys import KeyRing
from tests.conftest import MEMBERS, scripted_config
from tests.serving import serving

ROOT = Path(__file__).parent.parent
LIGHT = "The Varn light was built in 1911. Ada Trell keeps it."
ASKED, UNKNOWN = "Who keeps the Varn light?", "What does the boat cost?"
SCRIPT = {
    "When was it built? (Asked after: Who keeps the Varn light? Answered: Ada Trell)": "1911", "keeps the Varn light": "Ada Trell",
}  # fmt: skip


@dataclass(frozen=True)
class Served:
    """Where the OpenAI-compatible part is, and keys: for all, for law alone, of one request a minute."""

    url: str
    all: str
    law: str
    rare: str

    def client(self, key: str | None = None, **options: Any) -> OpenAI:
        return OpenAI(base_url=self.url, api_key=key or self.all, timeout=60, **options)


@pytest.fixture(scope="module")
def served(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Scripted members that agree on the light; physics and computing never answer."""
    folder = tmp_path_factory.mktemp("served")
    ring = KeyRing(folder / "keys.json")
    keys = [ring.add("all")[0], ring.add("law", models=["law"])[0], ring.add("rare", per_minute=1)[0]]
    tree = scripted_config({m: SCRIPT for m in MEMBERS}, fail=["physics", "computing"]) | {
        "retrieval": {"store": {"path": str(folder / "store")}}, "service": {"keys": str(ring.path)},
    }  # fmt: skip
    (folder / "light.md").write_text(f"# Varn light\n\n{LIGHT}\n")
    with serving(tree, asks_for_keys=True) as url:
        with CouncilClient(url, keys[0]) as client:
            client.index([folder / "light.md"])
        yield Served(f"{url}/v1", *keys)


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with served.client() as client:
        yield client


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def verdict_in(told: Any) -> Verdict:
    return Verdict.model_validate(told.model_extra["council"])


# --- openai --------------------------------------------------------------------------------------------------------


def test_a_completion_is_the_answer_and_holds_the_verdict(client: OpenAI) -> None:
    made = client.chat.completions.create(model="council", messages=user(ASKED), max_tokens=64, temperature=0, seed=1, user="me")
    (choice,) = made.choices
    assert (choice.message.content, choice.finish_reason, made.model) == ("Ada Trell", "stop", "council")
    assert made.usage is not None and made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens > 0
    verdict = verdict_in(made)
    assert verdict.status == "answered" and [s.text for s in verdict.sources] == [LIGHT] and len(verdict.opinions) == 5
    assert made._request_id


def test_an_abstention_is_a_completion(client: OpenAI) -> None:
    made = client.chat.completions.create(model="council", messages=user(UNKNOWN))
    text = made.choices[0].message.content or ""
    assert text.startswith("I am not sure enough") and made.choices[0].finish_reason == "stop"
    assert verdict_in(made).status == "abstained"


def test_a_stream_is_the_same_in_pieces(client: OpenAI) -> None:
    for question, status in ((ASKED, "answered"), (UNKNOWN, "abstained")):
        options: Any = {"model": "council", "messages": user(question), "stream_options": {"include_usage": True}}
        pieces = list(client.chat.completions.create(stream=True, **options))
        text = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
        whole = client.chat.completions.create(model="council", messages=user(question))
        assert text == whole.choices[0].message.content
        *_, last, usage = pieces
        assert last.choices[0].finish_reason == "stop" and verdict_in(last).status == status
        assert usage.choices == [] and usage.usage is not None and usage.usage.total_tokens > 0
        with client.chat.completions.stream(**options) as stream:
            for _ in stream:
                pass
            assert stream.get_final_completion().choices[0].message.content == text


async def test_async(served: Served) -> None:
    async with AsyncOpenAI(base_url=served.url, api_key=served.all, timeout=60) as client:
        made = await client.chat.completions.create(model="council/escalate", messages=user(ASKED))
        assert made.choices[0].message.content == "Ada Trell" and verdict_in(made).calls < 5
        pieces = [p async for p in await client.chat.completions.create(model="council", messages=user(ASKED), stream=True)]
        assert "".join(p.choices[0].delta.content or "" for p in pieces) == "Ada Trell"
        assert [m.id async for m in client.models.list()][:2] == ["council", "council/all"]


def test_models(client: OpenAI) -> None:
    models = {m.id: m for m in client.models.list()}
    assert list(models) == ["council", "council/all", "council/escalate", "council/cheapest", *MEMBERS]
    law: Any = client.models.retrieve("law").model_extra
    assert law["council"]["kind"] == "specialist" and law["council"]["domain"] == "law"
    assert client.models.retrieve("council/all").id == "council/all"


def test_a_specialist_alone_gives_several_choices(client: OpenAI) -> None:
    made = client.chat.completions.create(model="law", messages=user(ASKED), n=2)
    assert [(c.index, c.message.content) for c in made.choices] == [(0, "Ada Trell"), (1, "Ada Trell")]
    assert [v["status"] for v in (made.model_extra or {})["council"]] == ["answered"] * 2


def test_a_follow_up_is_understood_by_what_was_said_before(client: OpenAI) -> None:
    talk: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": ASKED}]},
    ]
    first = client.chat.completions.create(model="council", messages=talk)
    talk += [{"role": "assistant", "content": first.choices[0].message.content}, {"role": "user", "content": "When was it built?"}]
    second = client.chat.completions.create(model="council", messages=talk)
    assert second.choices[0].message.content == "1911"
    assert any("System messages" in w for w in verdict_in(second).warnings)


def test_an_answer_as_json(client: OpenAI) -> None:
    for question, status, answer in ((ASKED, "answered", "Ada Trell"), (UNKNOWN, "abstained", None)):
        made = client.chat.completions.create(model="council", messages=user(question), response_format={"type": "json_object"})
        told = json.loads(made.choices[0].message.content or "")
        assert (told["status"], told["answer"]) == (status, answer)


def test_what_is_the_councils_own_goes_in_the_extra_body(client: OpenAI) -> None:
    made = client.chat.completions.create(model="council", messages=user(ASKED), extra_body={"check": True, "retrieval": False})
    verdict = verdict_in(made)
    assert verdict.sources == () and verdict.answer == "Ada Trell"


@pytest.mark.parametrize(
    ("options", "kind", "param"),
    [
        ({"model": "gpt-5"}, openai.NotFoundError, "model"),
        ({"n": 2}, openai.BadRequestError, "n"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, "tools"),
        ({"top_p": 0.5}, openai.BadRequestError, "top_p"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, openai.BadRequestError, "response_format.type"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_those_of_openai(
    served: Served, options: dict[str, Any], kind: type[openai.APIStatusError], param: str, stream: bool
) -> None:
    asked: dict[str, Any] = {"model": "council", "messages": user(ASKED), "stream": stream} | options
    with served.client(max_retries=0) as client, pytest.raises(kind) as raised:
        client.chat.completions.create(**asked)
    assert raised.value.param == param and raised.value.request_id
    assert isinstance(raised.value.body, dict) and raised.value.body["message"]


def test_too_few_votes_are_an_error(served: Served) -> None:
    with served.client(max_retries=0) as client:
        with pytest.raises(openai.InternalServerError, match="physics fails, as its script says") as raised:
            client.chat.completions.create(model="physics", messages=user(ASKED))
        assert raised.value.code == "too_few_votes"
        with pytest.raises(openai.APIError, match="physics fails, as its script says"):  # told when the stream had begun
            list(client.chat.completions.create(model="physics", messages=user(ASKED), stream=True))


def test_keys_are_checked(served: Served) -> None:
    with served.client("cs-wrong") as client, pytest.raises(openai.AuthenticationError, match="this API key is not known"):
        client.models.list()
    with served.client(served.law) as client:
        assert [m.id for m in client.models.list()] == ["law"]
        assert client.chat.completions.create(model="law", messages=user(ASKED)).choices[0].message.content == "Ada Trell"
        with pytest.raises(openai.PermissionDeniedError):
            client.chat.completions.create(model="council", messages=user(ASKED))


def test_rates_are_told(served: Served) -> None:
    with served.client(served.rare, max_retries=0) as client:
        client.models.list()
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="council", messages=user(ASKED))
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60


# --- LangChain -----------------------------------------------------------------------------------------------------


@pytest.fixture
def chat(served: Served) -> ChatOpenAI:
    return ChatOpenAI(base_url=served.url, api_key=SecretStr(served.all), model="council", timeout=60)


def test_langchain(chat: ChatOpenAI) -> None:
    said = chat.invoke(ASKED)
    assert (said.content, said.response_metadata["finish_reason"]) == ("Ada Trell", "stop")
    assert said.usage_metadata is not None and said.usage_metadata["total_tokens"] > 0
    assert str(chat.invoke(UNKNOWN).content).startswith("I am not sure enough")
    pieces = list(chat.stream([SystemMessage("Be brief."), HumanMessage(ASKED)]))
    assert "".join(str(p.content) for p in pieces) == "Ada Trell"
    talk = [HumanMessage(ASKED), AIMessage("Ada Trell"), HumanMessage("When was it built?")]
    assert chat.invoke(talk).content == "1911"
    assert [m.content for m in chat.batch([ASKED, ASKED])] == ["Ada Trell"] * 2


async def test_langchain_async(chat: ChatOpenAI) -> None:
    assert (await chat.ainvoke(ASKED)).content == "Ada Trell"
    assert "".join([str(p.content) async for p in chat.astream(ASKED)]) == "Ada Trell"


# --- the pocket council --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pocket(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The pocket council, with its library, asking for no keys."""
    tree = load_config("pocket").model_dump(mode="json")
    tree["retrieval"]["store"]["path"] = str(tmp_path_factory.mktemp("pocket") / "store")
    with serving(tree) as url:
        with CouncilClient(url) as client:
            report = client.index([presets()["pocket"].parent / "pocket" / "library"])
            assert report.new == report.chunks > 400 and not report.skipped
        yield url


def questions(kind: str, count: int) -> list[dict[str, Any]]:
    """The first of a kind in the test split, of each domain alike."""
    path = presets()["pocket"].parent / "pocket" / "questions.jsonl"
    rows = [row for row in map(json.loads, path.read_text("utf-8").splitlines()) if (row["split"], row["kind"]) == ("test", kind)]
    domains = dict.fromkeys(row["domain"] for row in rows)
    return [row for d in domains for row in [r for r in rows if r["domain"] == d][:count]]


def test_real_models_answer_and_abstain(pocket: str) -> None:
    with OpenAI(base_url=f"{pocket}/v1", api_key="none", timeout=60) as client:
        made = client.chat.completions.create(model="council", messages=user("Who directed the work on the Digest of Justinian?"))
        assert made.choices[0].message.content == "Tribonian"
        verdict = verdict_in(made)
        assert verdict.agreement == 1.0 and any("Tribonian" in s.text for s in verdict.sources)
        made = client.chat.completions.create(model="council", messages=user("Which colour has the lighthouse keeper's cat?"))
        assert verdict_in(made).status == "abstained" and (made.choices[0].message.content or "").startswith("I am not sure enough")


def test_lm_evaluation_harness_scores_it_as_it_scores_itself(pocket: str, tmp_path: Path) -> None:
    """The share of right answers that the harness finds is the one that the verdicts have."""
    rows = questions("answerable", 3)
    golds = [[row["answer"], *row["aliases"]] for row in rows]
    lines = [json.dumps({"question": row["question"], "answers": gold}) for row, gold in zip(rows, golds, strict=True)]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines) + "\n")
    command = [
        *(sys.executable, "-m", "lm_eval", "run", "--model", "local-chat-completions", "--tasks", "council_pocket"),
        *("--model_args", f"base_url={pocket}/v1/chat/completions,model=council,num_concurrent=3,max_retries=2"),
        *("--include_path", str(ROOT / "tests/data/lm_eval"), "--apply_chat_template", "--output_path", str(tmp_path / "out")),
        "--log_samples",
    ]  # fmt: skip
    caches = {name: str(tmp_path / "cache") for name in ("HF_HOME", "HF_DATASETS_CACHE", "XDG_CACHE_HOME", "HOME")}
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment = {"PATH": os.environ["PATH"], **caches, **offline}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=200, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    (result,) = (tmp_path / "out").rglob("results_*.json")
    (samples,) = (tmp_path / "out").rglob("samples_*.jsonl")
    with CouncilClient(pocket) as client:
        verdicts = client.ask_many([row["question"] for row in rows], concurrency=3)
    said = [json.loads(line)["filtered_resps"][0] for line in samples.read_text().splitlines()]
    assert len(said) == len(rows)
    assert sum(text.startswith("I am not sure enough") for text in said) == sum(v.status == "abstained" for v in verdicts) > 0
    right = sum(v.answer is not None and _bare(v.answer) in map(_bare, gold) for v, gold in zip(verdicts, golds, strict=True))
    scored = json.loads(result.read_text())["results"]["council_pocket"]["exact_match,none"]
    assert right > 0 and scored == pytest.approx(right / len(rows))


def _bare(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum() or c.isspace())
