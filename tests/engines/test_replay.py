from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from council import Council
from council.config import CouncilConfig
from council.evaluation.dataset import Labelled
from council.evaluation.run import ANSWERS, ask_all
from specialists.config import EngineConfig, SpecialistConfig
from specialists.deployment import check_weights
from specialists.engines import build_engine
from specialists.engines.replay import ReplayEngine
from specialists.prompt_format import Message, render_messages
from specialists.protocol import Engine, Generation, GenerationRequest, OptionError, ScoreRequest
from specialists.tokens import token_counter
from tests.conftest import MEMBERS, scripted_config

SPECIALISTS = [SpecialistConfig(name=n, engine="r", domain=n, description=n) for n in ("law", "sea")]
ASKED = render_messages("Who keeps\nthe light?", [("Light", "Question: Who?\nAda keeps it.")], "You read.")
ROW = {"question": "Who keeps  the light?", "answers": {"law": ["Ada", "Bo"], "sea": None}}


def run_row(*said: tuple[str, str, str | None], question: str = "Who keeps the light?") -> dict[str, Any]:
    opinions = [{"specialist": name, "text": text, "error": error} for name, text, error in said]
    return {"id": "1", "question": question, "council": "0-with-passages", "verdict": {"opinions": opinions}}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def make(answers: Path, **options: object) -> ReplayEngine:
    config = EngineConfig.model_validate({"name": "r", "kind": "replay", "options": {"answers": str(answers), **options}})
    engine = build_engine(config, SPECIALISTS)
    assert isinstance(engine, ReplayEngine) and isinstance(engine, Engine)
    return engine


async def say(engine: ReplayEngine, name: str, messages: list[Message] = ASKED, n: int = 1, seed: int | None = None) -> Generation:
    (said,) = await engine.generate([GenerationRequest(name, messages, max_tokens=1, n=n, seed=seed)])
    assert said.specialist == name and (said.error is None) == bool(said.samples)
    return said


@pytest.mark.parametrize("layout", ["persona_first", "passages_first"])
async def test_what_was_recorded_of_a_question_is_said_whole(tmp_path: Path, layout: Any) -> None:
    longer = {"question": "Tell me: Who keeps the light?", "answers": {"law": "Cy"}}
    engine = make(write(tmp_path / "a.jsonl", longer, ROW | {"answers": {"law": "Ada of Trell, they say"}}))
    said = await say(engine, "law", render_messages("Who keeps the light?", [("", "Question: Tell me:")], "You\nread.", layout))
    assert [(s.text, s.tokens, s.finish) for s in said.samples] == [("Ada of Trell, they say", 5, "stop")]
    assert (await say(engine, "law", render_messages("the light?", [], "", layout))).error == "no recorded answer of 'law' to this question"


async def test_as_many_samples_as_were_recorded(tmp_path: Path) -> None:
    engine = make(write(tmp_path / "a.jsonl", ROW))
    assert [s.text for s in (await say(engine, "law")).samples] == ["Ada"]
    assert [s.text for s in (await say(engine, "law", n=2)).samples] == ["Ada", "Bo"]
    assert (await say(engine, "law", n=3)).error == "3 answers of 'law' to this question are asked for, and 2 recorded"
    assert [s.text for s in (await say(engine, "law", seed=1)).samples] == ["Bo"]


async def test_what_was_not_recorded_is_an_error(tmp_path: Path) -> None:
    engine = make(write(tmp_path / "a.jsonl", ROW))
    assert (await say(engine, "sea")).error == "no recorded answer of 'sea' to this question"
    assert (await say(engine, "art")).error == "no specialist 'art' here; there are: law, sea"
    for unlike in ([], [Message(role="user", content="Who keeps the light?")]):
        assert (await say(engine, "law", unlike)).error == "the prompt does not end in a question that could be looked up"
    (score,) = await engine.score([ScoreRequest("law", ASKED, "Ada")])
    assert score.error == "a replay can't score" and not score.logprobs


async def test_members_may_go_by_other_names(tmp_path: Path) -> None:
    engine = make(write(tmp_path / "a.jsonl", ROW), names={"sea": "law"})
    assert (await say(engine, "sea")).samples[0].text == (await say(engine, "law")).samples[0].text == "Ada"
    with pytest.raises(OptionError, match="option 'names': no specialist 'see' here"):
        make(tmp_path / "a.jsonl", names={"see": "law"})


async def test_the_rows_of_a_run_are_read(tmp_path: Path) -> None:
    """The latest answer stands, an unreadable one is one, and a failure replaces none."""
    engine = make(
        write(
            tmp_path / "a.jsonl", run_row(("law", "Bo", None), ("sea", "Cy", None)), run_row(("law", "Ada", None), ("sea", "", "it died")),
            run_row(("law", "Hm.", "no answer could be read"), ("sea", "", "it died"), question="Why?"),
        )
    )  # fmt: skip
    assert [(await say(engine, m)).samples[0].text for m in ("law", "sea")] == ["Ada", "Cy"]
    why = render_messages("Why?", [], "")
    assert (await say(engine, "law", why)).samples[0].text == "Hm." and (await say(engine, "sea", why)).error


async def test_health_counts_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(ROW).encode() + b"\n\n"))
    health = await make(path).health()
    assert health.ok and health.detail == "replay; nothing is recorded of sea" and health.facts == {"questions": 1, "members": 1}
    assert (await make(write(tmp_path / "b.jsonl", run_row(("law", "a", None), ("sea", "b", None)))).health()).detail == "replay"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "no JSON"), ([], "an object with a 'question'"), ({"answers": {}}, "an object with a 'question'"),
        ({"question": "q"}, "neither 'answers' by member nor a 'verdict'"), ({"question": "q", "answers": ["a"]}, "neither 'answers'"),
        ({"question": "q", "answers": {"law": 1}}, "the answer of 'law' must be a text"),
        ({"question": "q", "answers": {"law": ["a", None]}}, "the answer of 'law' must be a text"),
        (ROW | {"answers": {"law": "Bo"}}, "'law' gave another answer to this question on an earlier line"),
        ({"question": "q", "verdict": None}, "'verdict' has no opinions"),
        ({"question": "q", "verdict": {"opinions": [{"specialist": "law"}]}}, "'verdict' has no opinions"),
        (run_row(("law", None, None)), "'verdict' has no opinions"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: object, said: str) -> None:
    with pytest.raises(OptionError, match=rf"engine 'r': .*a\.jsonl, line 2: .*{said}"):
        make(write(tmp_path / "a.jsonl", ROW, row))


@pytest.mark.parametrize(
    ("name", "content"), [("none.jsonl", None), ("a.jsonl", b"\xff\n"), ("a.jsonl.gz", b"{}"), ("cut.gz", gzip.compress(b"{}" * 99)[:-9])]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(OptionError, match=rf"engine 'r': .*{name} can't be read"):
        make(tmp_path / name)


def test_an_unknown_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="option 'delay'"):
        make(tmp_path / "a.jsonl", delay=1)
    with pytest.raises(OptionError, match="option 'answers'"):
        build_engine(EngineConfig(name="r", kind="replay"), SPECIALISTS)


def test_it_needs_no_weights() -> None:
    config = EngineConfig(name="r", kind="replay", model="/nowhere")
    check_weights([config], [SPECIALISTS[0].model_copy(update={"adapter": "/nowhere/either"})])
    assert token_counter(config)(ASKED) == sum(len(m["content"].split()) for m in ASKED)


def test_a_run_is_replayed_to_the_same_verdicts_and_voted_otherwise(ray_session: None, tmp_path: Path) -> None:
    questions = [Labelled(f"q{i}", f"What is word{i}?", (f"value {i}",)) for i in range(6)]
    script = {m: {f"word{i}?": f"value {i if n < 3 else -i}" for i in range(6)} for n, m in enumerate(MEMBERS)}
    tree = scripted_config(script, name="recorded") | {"retrieval": {"store": {"path": str(tmp_path / "store")}}}
    with Council(CouncilConfig.model_validate(tree)) as council:
        first = ask_all(council, questions, tmp_path, retrieval=False)
    tree |= {"name": "replayed"}
    tree["engines"][0] |= {"kind": "replay", "options": {"answers": str(tmp_path / ANSWERS)}}
    with Council(CouncilConfig.model_validate(tree | {"aggregator": {"min_agreement": 0.9}})) as council:
        again = council.ask_many([q.question for q in questions], retrieval=False)
        unknown = council.ask("What is word9?", retrieval=False)
    assert [[o.text for o in v.opinions] for v in again] == [[o.text for o in v.opinions] for v in first]
    assert [v.agreement for v in again] == pytest.approx([v.agreement for v in first])
    assert {v.status for v in first[1:]} == {"answered"} and {v.status for v in again[1:]} == {"abstained"}
    assert unknown.status == "failed" and {o.error for o in unknown.opinions} == {
        f"no recorded answer of {m!r} to this question" for m in MEMBERS
    }
