"""What a council said comes back as a document: through the whole product, with the real store and embedder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from council import Council, CouncilConfig, Question, Verdict
from council.retrieval.store import Chunk
from tests.conftest import MEMBERS, scripted_config

ASKED = "Who keeps the Varn light?"
REPORT = "The light on Varn was built in 1911 and is kept by Ada Trell, who came from Oskel."
KNOWN = f"{ASKED} Bo Lind."
"""What a person wrote before the council was asked, with an answer of their own."""
BACK = f"{ASKED} The answer is Ada Trell."
ELSEWHERE = Question(text=ASKED, tenant="other")


def write(file: Path, *texts: str) -> Path:
    """As documents that people are said to have written."""
    file.write_text("".join(json.dumps({"title": "Varn light", "text": text, "origin": "human"}) + "\n" for text in texts))
    return file


@contextmanager
def opened(store: Path, **origins: float) -> Iterator[Council]:
    """Four members name Ada Trell, and one says what the FAQ does."""
    answers = {m: {"keeps the Varn light": "Bo Lind" if m == "law" else "Ada Trell"} for m in MEMBERS}
    tree = scripted_config(answers, name="autophagy") | {
        "retrieval": {"store": {"path": str(store)}, "origins": origins}, "routing": {"temperature": 100.0},
    }  # fmt: skip
    with Council(CouncilConfig.model_validate(tree)) as council:
        yield council


def origins_in(verdict: Verdict) -> dict[str, str]:
    return {source.text: source.provenance.origin for source in verdict.sources}


def chunks_of(council: Council, tenant: str = "default") -> dict[str, Chunk]:
    return {chunk.text: chunk for chunk in council.retriever.chunks(tenant)}


@pytest.fixture(scope="module")
def council(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Council]:
    """One that was asked, and to which its answer came back, to another tenant too."""
    folder = tmp_path_factory.mktemp("autophagy")
    faq = write(folder / "faq.jsonl", REPORT, KNOWN)
    with opened(folder / "s") as council:
        council.index([faq])
        council.index([write(folder / "other.jsonl", REPORT)], tenant="other")
        first = council.ask(ASKED)
        assert (first.status, first.answer) == ("answered", "Ada Trell") and first.left_out == ()
        back = write(folder / "collected.jsonl", BACK)
        for tenant in ("default", "other"):
            assert council.index([back], tenant=tenant).new == 1
        write(faq, f"{KNOWN} Ask at the pier.", KNOWN, REPORT)  # changed, and so read again by one who knows what was said
        council.index([faq])
        yield council


def test_the_councils_own_answer_is_known_again_and_not_shown(council: Council) -> None:
    own, verdict = chunks_of(council)[BACK], council.ask(ASKED)
    assert own.provenance.origin == "council" and not own.held
    assert BACK not in {p.text for p in council.retrieve(ASKED)}
    (out,) = [out for out in verdict.left_out if out.id == own.id]
    assert out.why == "the council said it itself, and that may take 0 of 4 places"
    assert verdict.answer == "Ada Trell" and origins_in(verdict) == {REPORT: "human"}


def test_what_people_wrote_before_stays_theirs(council: Council) -> None:
    origins = {text: chunk.provenance.origin for text, chunk in chunks_of(council).items()}
    assert origins == {REPORT: "human", KNOWN: "human", f"{KNOWN} Ask at the pier.": "human", BACK: "council"}
    assert KNOWN in {p.text for p in council.retrieve(ASKED)}


def test_another_tenant_is_not_affected(council: Council) -> None:
    """Nobody there had been told anything; and what is there before an answer stays what it is."""
    for _ in range(2):
        assert chunks_of(council, "other")[BACK].provenance.origin == "human"
        verdict = council.ask(ELSEWHERE)
        assert origins_in(verdict) == {REPORT: "human", BACK: "human"} and verdict.left_out == ()


def test_it_is_shown_where_the_config_allows_it_and_says_who_wrote_it(council: Council, tmp_path: Path) -> None:
    store = council.config.retrieval.store.path
    assert store is not None
    shutil.copytree(store, tmp_path / "s", ignore=shutil.ignore_patterns("*.lock"))
    with opened(tmp_path / "s", council=1.0, machine=1.0, preference=0.0) as allowing:
        verdict = allowing.ask(ASKED)
    assert origins_in(verdict) == {REPORT: "human", BACK: "council"}
    assert not [out for out in verdict.left_out if "said it itself" in out.why]
