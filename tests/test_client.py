"""The client of a council elsewhere, and `council ask --url`, against a service on real Serve that asks for keys."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from council import Council, CouncilClient, CouncilError, Question, Verdict
from council.cli import main
from council.client import AROUND_A_FILE, FILES_AT_ONCE, _batches
from council.errors import ConfigError, DocumentError, Overloaded, QuestionError, RemoteError
from council.events import Asked, Retrieved, Routed, Tally
from council.keys import KeyRing
from council.types import Opinion
from tests.conftest import MEMBERS, scripted_config
from tests.serving import free_port, serving

LIGHT = "The Varn light was built in 1911. Ada Trell keeps it."
ASKED, UNKNOWN = "Who keeps the Varn light?", "What does the boat cost?"


@dataclass(frozen=True)
class Served:
    """Where the council is, and its keys: for all, for reading alone, of another tenant, of one request a minute."""

    url: str
    all: str
    reading: str
    other: str
    rare: str


@pytest.fixture(scope="module")
def served(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    ring = KeyRing(folder / "keys.json")
    keys = [
        ring.add("all")[0], ring.add("reading", documents="read")[0], ring.add("other", tenant="other")[0],
        ring.add("rare", per_minute=1)[0],
    ]  # fmt: skip
    tree = scripted_config({m: {"keeps the Varn light": "[b]Ada[/b] Trell"} for m in MEMBERS}) | {
        "retrieval": {"store": {"path": str(folder / "store")}},
        "service": {"keys": str(ring.path), "upload_bytes": 20_000, "question_chars": 500},
    }
    (folder / "light.md").write_text(f"# Varn light\n\n{LIGHT}\n")
    with serving(tree, asks_for_keys=True) as url:
        with CouncilClient(url, keys[0]) as client:
            assert client.index([folder / "light.md"]).new == 1
        yield Served(url, *keys)


@pytest.fixture
def client(served: Served) -> Iterator[CouncilClient]:
    with CouncilClient(served.url, served.all, timeout_s=60) as client:
        yield client


def test_it_is_called_as_a_council_of_ones_own_is() -> None:
    for name in ("ask", "aask", "astream", "ask_many", "check_names", "members"):
        assert inspect.signature(getattr(CouncilClient, name)) == inspect.signature(getattr(Council, name)), name


def test_importing_it_brings_nothing_heavy() -> None:
    heavy = {"ray", "torch", "transformers", "qdrant_client", "fastapi", "scipy"}
    code = f"import sys; from council import CouncilClient; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- questions -----------------------------------------------------------------------------------------------------


def test_a_question_gets_its_verdict(client: CouncilClient) -> None:
    verdict = client.ask(ASKED)
    assert (verdict.status, verdict.answer, verdict.agreement) == ("answered", "[b]Ada[/b] Trell", 1.0)
    assert [s.text for s in verdict.sources] == [LIGHT]
    abstained = client.ask(Question(text=UNKNOWN, queries=("ferry",), domain="law"))
    assert (abstained.status, abstained.answer, abstained.sources) == ("abstained", None, ())


def test_how_it_is_asked_reaches_the_members(client: CouncilClient) -> None:
    verdict = client.ask(ASKED, retrieval=False, specialists=["law", "physics", "finance"])
    assert [o.specialist for o in verdict.opinions] == ["law", "finance", "physics"]
    assert verdict.sources == ()
    grounding = client.ask(ASKED, check=True).grounding
    assert grounding is not None and grounding.rests_on == "the members"


async def test_in_async_code(served: Served) -> None:
    async with CouncilClient(served.url, served.all) as client:
        verdicts = await asyncio.gather(*(client.aask(q) for q in (ASKED, UNKNOWN)))
        assert [v.status for v in verdicts] == ["answered", "abstained"]
        assert client.ask(ASKED).status == "answered"  # inside a running loop, too
    with pytest.raises(CouncilError, match="closed"):
        await client.aask(ASKED)


def test_loops_that_come_and_go_share_a_client(client: CouncilClient) -> None:
    for _ in range(3):
        assert asyncio.run(client.aask(ASKED)).status == "answered"


def test_threads_share_a_client(client: CouncilClient) -> None:
    verdicts: list[Verdict] = []
    threads = [threading.Thread(target=lambda: verdicts.append(client.ask(ASKED))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [v.answer for v in verdicts] == ["[b]Ada[/b] Trell"] * 6


async def test_what_happens_is_told_as_events(client: CouncilClient) -> None:
    heard = [event async for event in client.astream(ASKED)]
    kinds = [type(event) for event in heard]
    assert set(kinds[:2]) == {Routed, Retrieved} and kinds[-1] is Verdict
    assert kinds.count(Opinion) == 5 and Asked in kinds and Tally in kinds
    assert isinstance(heard[-1], Verdict) and heard[-1].answer == "[b]Ada[/b] Trell"
    with pytest.raises(QuestionError, match="the question is empty"):
        _ = [event async for event in client.astream(" ")]


async def test_a_stream_can_be_left(client: CouncilClient) -> None:
    stream = client.astream(ASKED)
    first = await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert isinstance(first, Routed | Retrieved)
    assert (await client.aask(ASKED)).status == "answered"


def test_many_questions_keep_their_order_and_fail_alone(client: CouncilClient) -> None:
    told: list[int] = []
    verdicts = client.ask_many([ASKED, "", UNKNOWN, Question(text=ASKED, tenant="x"), ASKED], concurrency=3, progress=told.append)
    assert [v.status for v in verdicts] == ["answered", "failed", "abstained", "failed", "answered"]
    assert "is empty" in verdicts[1].reason and "tenant" in verdicts[3].reason
    assert told == [1, 2, 3, 4, 5]
    assert client.ask_many([]) == []
    with pytest.raises(ConfigError, match="at least 1"):
        client.ask_many([ASKED], concurrency=0)


@pytest.mark.parametrize(
    ("question", "kind", "said"),
    [
        ("", QuestionError, "the question is empty"),
        ("why " * 200, QuestionError, "500 are the most"),
        ("x" * 100_001, QuestionError, "question: "),
        (Question(text=ASKED, queries=("a",) * 9), QuestionError, "queries: "),
        (Question(text=ASKED, tenant="other"), ConfigError, "the key says whose"),
    ],
)
def test_what_can_not_be_asked(client: CouncilClient, question: str | Question, kind: type[CouncilError], said: str) -> None:
    with pytest.raises(kind, match=said):
        client.ask(question)


def test_names_are_checked(client: CouncilClient) -> None:
    for ask in (lambda: client.ask(ASKED, specialists=["cooking"]), lambda: client.ask_many([ASKED], specialists=["cooking"])):
        with pytest.raises(ConfigError, match="no specialist 'cooking'; there are: medicine"):
            ask()


# --- who asks ------------------------------------------------------------------------------------------------------


def test_keys_that_are_missing_or_wrong(served: Served) -> None:
    for key, said in ((None, "asks for a key"), (served.all[:-1], "does not know this key")):
        with pytest.raises(RemoteError, match=said) as refused, CouncilClient(served.url, key):
            pass
        assert key is None or key not in str(refused.value)
    client = CouncilClient(served.url, "wrong")
    with pytest.raises(RemoteError, match="does not know this key"):
        client.ask_many([ASKED] * 3)
    client.close()


def test_what_a_key_does_not_allow(served: Served, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The ferry to Oskel leaves at noon.")
    with CouncilClient(served.url, served.reading) as client:
        assert client.documents()
        for change in (lambda: client.index([tmp_path]), lambda: client.remove(["light.md"])):
            with pytest.raises(RemoteError, match="this key may not change documents"):
                change()


def test_the_rate_of_a_key_ends_in_overloaded(served: Served) -> None:
    client = CouncilClient(served.url, served.rare, timeout_s=5)
    assert client.ask(ASKED).status == "answered"
    started = time.monotonic()
    with pytest.raises(Overloaded, match="may ask 1 times a minute") as refused:
        client.ask(ASKED)
    assert 5 < refused.value.retry_after_s <= 60 and time.monotonic() - started < 5
    client.close()


# --- documents -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Documents as people have them: in folders, hidden, unreadable, empty, too large."""
    (tmp_path / "docs" / "more").mkdir(parents=True)
    for place, text in {
        "ferry.md": "# Ferry\n\nThe ferry to Oskel leaves at noon.", "more/rope.txt": "A rope on the boat is twelve metres long.",
        ".hidden.md": "Nobody reads this.", "image.png": "No text.", "empty.txt": "",
        "large.txt": "Much is told of the sea. " * 1000, "rows.jsonl": '{"text": "The pier is made of oak."}\n{"no": 1',
    }.items():  # fmt: skip
        (tmp_path / "docs" / place).write_text(text)
    (tmp_path / "docs" / "broken.pdf").write_bytes(b"%PDF-1.7\nno more")
    return tmp_path / "docs"


def test_documents_are_added_seen_and_removed(served: Served, folder: Path) -> None:
    told: list[tuple[int, int]] = []
    with CouncilClient(served.url, served.other) as client:
        report = client.index([folder, folder / "ferry.md", folder.parent / "nowhere.md"], "harbour", lambda *done: told.append(done))
        assert (report.documents, report.new, report.unchanged) == (3, 3, 0)
        skipped = {Path(name).name: reason for name, reason in report.skipped}
        assert set(skipped) == {"broken.pdf", "empty.txt", "large.txt", "rows.jsonl:2", "nowhere.md"}
        assert "no such file" in skipped["nowhere.md"] and "20000 bytes" in skipped["large.txt"] and "empty" in skipped["empty.txt"]
        assert told[-1][1] == 7
        found = {d.file: d for d in client.documents()}
        assert set(found) == {"ferry.md", "rope.txt", "rows.jsonl"}
        assert {d.domain for d in found.values()} == {"harbour"} and found["ferry.md"].titles == ("Ferry",)
        (passage,) = client.passages(folder / "ferry.md")
        assert passage.text.endswith("leaves at noon.") and passage.provenance.source == "ferry.md"
        assert client.ask("When does the ferry leave?").sources[0].title == "Ferry"

        (folder / "ferry.md").write_text("# Ferry\n\nThe ferry to Oskel leaves at one.")
        report = client.index([str(folder / "*.md")])
        assert (report.new, report.changed, report.removed) == (1, ("ferry.md",), 1)
        with pytest.raises(DocumentError, match="no document 'boat"):
            client.remove(["ferry.md", "boat.md"])
        assert client.remove(["ferry.md", folder / "more/rope.txt", "ferry.md", "rows.jsonl"]) == 3
        assert client.documents() == []
        with pytest.raises(DocumentError, match="no document 'ferry"):
            client.passages("ferry.md")


def test_files_of_one_name_would_replace_each_other(served: Served, tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "readme.md").write_text(f"This is the text of {place}.")
    with CouncilClient(served.url, served.other) as client:
        with pytest.raises(DocumentError, match="have the same name"):
            client.index([tmp_path])
        assert client.documents() == []


def test_more_files_than_one_upload_takes(served: Served, tmp_path: Path) -> None:
    for number in range(FILES_AT_ONCE + 3):
        (tmp_path / f"{number}.txt").write_text(f"The boat of the number {number} lies at the pier {number + 100}.")
    (tmp_path / f"{'long' * 60}.txt").write_text("This name is too long for the service, and the others are not.")
    with CouncilClient(served.url, served.other) as client:
        report = client.index([tmp_path])
        assert report.new == FILES_AT_ONCE + 3
        ((name, reason),) = report.skipped
        assert name.startswith("longlong") and "200 bytes" in reason
        assert client.remove(d.file for d in client.documents()) == report.new


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 6000), max_size=60))
def test_uploads_hold_every_file_once_and_none_is_too_large(tmp_path: Path, sizes: list[int]) -> None:
    files = {}
    for number, size in enumerate(sizes):
        files[str(number)] = tmp_path / str(number)
        files[str(number)].write_bytes(b"x" * size)
    skipped: list[tuple[str, str]] = []
    most = 5000
    batches = list(_batches(files, most, skipped))
    assert [name for batch in batches for name in batch] + [Path(p).name for p, _ in skipped] == sorted(
        files, key=lambda name: (sizes[int(name)] + AROUND_A_FILE > most, int(name))
    )
    for batch in batches:
        assert 0 < len(batch) <= FILES_AT_ONCE
        assert sum(len(content) + AROUND_A_FILE for content in batch.values()) <= most
        assert all(len(content) == sizes[int(name)] for name, content in batch.items())


# --- members -------------------------------------------------------------------------------------------------------


def test_members_and_models(client: CouncilClient) -> None:
    members = client.members()
    assert [m.name for m in members] == list(MEMBERS)
    assert all(m.health is not None and m.health.ok and m.kind == "scripted" for m in members)
    assert {m.health for m in client.members(health=False)} == {None}
    models = {m.id: m for m in client.models()}
    assert list(models) == ["council", "council/all", "council/escalate", "council/cheapest", *MEMBERS]
    assert (models["law"].kind, models["law"].domain, models["council"].kind) == ("specialist", "law", "council")


# --- the command ---------------------------------------------------------------------------------------------------


@dataclass
class Asking:
    """Runs `council ask --url`; gives back status, stdout and stderr."""

    served: Served
    capfd: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["ask", *arguments, "--url", self.served.url])
        out, err = self.capfd.readouterr()
        assert "Traceback" not in out + err and self.served.all not in out + err
        return ended.value.code if isinstance(ended.value.code, int) else 0, out, err


@pytest.fixture
def asking(served: Served, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Asking:
    monkeypatch.setenv("COUNCIL_KEY", served.all)
    return Asking(served, capfd)


def test_the_command_answers_as_for_a_council_of_ones_own(asking: Asking) -> None:
    status, out, _ = asking(ASKED, "--json")
    assert (status, Verdict.model_validate_json(out).answer) == (0, "[b]Ada[/b] Trell")  # one object and nothing else
    status, out, _ = asking(ASKED, "--check")
    assert status == 0 and "[b]Ada[/b] Trell" in out and "rests on the members" in out and all(m in out for m in MEMBERS)
    status, out, _ = asking(UNKNOWN)
    assert status == 3 and "abstained" in out
    _, out, _ = asking(ASKED, "--json", "--no-retrieval", "--specialists", "law,physics")
    assert [o.specialist for o in Verdict.model_validate_json(out).opinions] == ["law", "physics"]


def test_the_command_asks_a_file(asking: Asking, tmp_path: Path) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text(f'{{"question": "{ASKED}"}}\n{{"question": "{UNKNOWN}"}}\n{{"question": ""}}\n')
    status, out, _ = asking("--file", str(questions))
    verdicts = [Verdict.model_validate_json(line) for line in out.splitlines()]
    assert (status, [v.status for v in verdicts]) == (0, ["answered", "abstained", "failed"])


def test_the_command_asks_what_is_typed(asking: Asking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "typed").write_text(f"{'why ' * 200}\n{ASKED}\n\nnever read\n")
    with (tmp_path / "typed").open() as typed:
        monkeypatch.setattr(sys, "stdin", typed)
        status, out, err = asking()
    assert status == 0 and ASKED in out and "never read" not in out
    assert "500 are the most" in err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["ask", "", "--url", "URL"], 2, "the question is empty"),
        (["ask", "why " * 200, "--url", "URL"], 2, "500 are the most"),
        (["ask", ASKED, "--url", "URL", "--specialists", "cooking"], 2, "no specialist 'cooking'"),
        (["ask", ASKED, "--url", "nowhere"], 2, "no address of a council"),
        (["ask", ASKED, "--url", "URL", "--set", "retrieval.top_k=1"], 2, "a config of its own"),
        (["ask", ASKED, "--url", "URL", "--config", "other"], 2, "a config of its own"),
        (["ask", ASKED, "--url", "URL", "--key-env", "NOT_SET"], 2, "the environment variable NOT_SET holds no key"),
        (["ask", ASKED, "--key-env", "COUNCIL_KEY"], 2, "--key-env goes with --url"),
        (["ask", ASKED, "--url", "URL", "--key-env", "WRONG_KEY"], 1, "does not know this key"),
        (["ask", "--file", "QUESTIONS", "--url", "URL", "--key-env", "WRONG_KEY"], 1, "does not know this key"),
        (["ask", "--url", "URL/page", "--key-env", "COUNCIL_KEY"], 1, "there is nothing at this address"),
    ],
)
def test_bad_input_gives_one_clear_line(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], status: int, said: str
) -> None:
    monkeypatch.setenv("WRONG_KEY", "cs-wrong")
    (tmp_path / "q.jsonl").write_text('{"question": "Who?"}\n')
    given = [a.replace("URL", asking.served.url).replace("QUESTIONS", str(tmp_path / "q.jsonl")) for a in arguments]
    with pytest.raises(SystemExit) as ended:
        main(given)
    out, err = asking.capfd.readouterr()
    assert (ended.value.code, out) == (status, "")
    assert len([line for line in err.splitlines() if said in line]) == 1 and "Traceback" not in err and "cs-wrong" not in err


def test_nobody_at_the_address_has_a_status_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["ask", ASKED, "--url", f"http://127.0.0.1:{free_port()}"])
    assert ended.value.code == 1
    assert "no council can be reached" in capfd.readouterr().err
