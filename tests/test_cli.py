"""The command line, run as its users run it: in this process on the session's Ray, and once as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from council.cli import main
from council.types import Verdict
from tests.conftest import MEMBERS, scripted_config

ASKED = "Who keeps the Varn light?"


class Cli:
    """Runs `council ...` with a scripted config; gives back status, stdout and stderr."""

    def __init__(self, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        self._capfd = capfd
        self.config, self.store = tmp_path / "scripted.yaml", tmp_path / "store"
        answers = {m: {"keeps the Varn light": "[b]Ada[/b] Trell"} for m in MEMBERS}
        self.config.write_text(yaml.safe_dump(scripted_config(answers)))

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = self._capfd.readouterr()
        assert "Traceback" not in out + err
        code = ended.value.code
        return code if isinstance(code, int) else 0, out, err

    def with_store(self, command: str, *arguments: str) -> tuple[int, str, str]:
        return self.run(command, *arguments, "--config", str(self.config), "--set", f"retrieval.store.path={self.store}")


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    return Cli(capfd, tmp_path)


@pytest.fixture
def light(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "light.md").write_text("# Varn light\n\nAda Trell keeps the Varn light.\n")
    return folder


def test_index_then_ask_as_json(ray_session: None, cli: Cli, light: Path) -> None:
    status, out, _ = cli.with_store("index", str(light))
    told = "1 documents, 1 passages, 1 of them new; 0 documents unchanged; 0 passages removed; 0 skipped"
    assert status == 0 and out.startswith(told)
    assert "0 of them new" in cli.with_store("index", str(light))[1]
    status, out, _ = cli.with_store("ask", ASKED, "--json")
    verdict = Verdict.model_validate_json(out)  # one object and nothing else
    assert (status, verdict.status) == (0, "answered")
    assert [s.title for s in verdict.sources] == ["Varn light"]


def test_people_see_groups_and_sources_and_no_markup_is_run(ray_session: None, cli: Cli, light: Path) -> None:
    cli.with_store("index", str(light))
    status, out, _ = cli.with_store("ask", ASKED)
    assert status == 0
    assert "[b]Ada[/b] Trell" in out
    assert all(member in out for member in MEMBERS)
    assert "Ada Trell keeps the Varn light." in out


def test_an_abstention_has_a_status_of_its_own(ray_session: None, cli: Cli) -> None:
    status, out, _ = cli.with_store("ask", "What does the boat cost?")
    assert status == 3
    assert "abstained" in out


def test_a_file_of_questions_gives_a_verdict_a_line(ray_session: None, cli: Cli, tmp_path: Path) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text(f'{{"question": "{ASKED}"}}\n\n{{"question": "What does the boat cost?", "id": 2}}\n{{"question": ""}}\n')
    status, out, _ = cli.with_store("ask", "--file", str(questions))
    verdicts = [Verdict.model_validate_json(line) for line in out.splitlines()]
    assert (status, [v.status for v in verdicts]) == (0, ["answered", "abstained", "failed"])


def test_only_named_specialists_are_asked(ray_session: None, cli: Cli) -> None:
    _, out, _ = cli.with_store("ask", ASKED, "--json", "--no-retrieval", "--specialists", "law,physics")
    assert [o["specialist"] for o in json.loads(out)["opinions"]] == ["law", "physics"]


def test_questions_from_a_prompt(ray_session: None, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = tmp_path / "typed"
    lines.write_text(f"{ASKED}\nWhat does the boat cost?\n\nnever read\n")
    with lines.open() as typed:
        monkeypatch.setattr(sys, "stdin", typed)
        status, out, _ = cli.with_store("ask")
    assert status == 0
    assert ASKED in out and "abstained" in out and "never read" not in out


def test_models_lists_members_with_weights_and_health(ray_session: None, cli: Cli) -> None:
    status, out, _ = cli.with_store("models", "--json")
    rows = json.loads(out)
    assert (status, [r["name"] for r in rows], {r["health"] for r in rows}) == (0, list(MEMBERS), {"ok"})
    rows = json.loads(cli.run("models", "--json", "--no-health")[1])
    assert all(Path(r["weights"]).is_dir() for r in rows)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["ask", ""], 2, "the question is empty"),
        (["ask", ASKED, "--config", "nowhere"], 2, "no config 'nowhere'"),
        (["ask", ASKED, "--set", "aggregator.min_agrement=1"], 2, "unknown key 'aggregator.min_agrement'"),
        (["ask", ASKED, "--set", "nonsense"], 2, "write it as KEY=VALUE"),
        (["ask", ASKED, "--specialists", "cooking"], 2, "no specialist 'cooking'"),
        (["ask", "--file", "/nowhere.jsonl"], 2, "/nowhere.jsonl can't be read"),
        (["ask", ASKED, "--set", "specialists.law.adapter=/nowhere/law"], 1, "'law': weights not found at /nowhere/law"),
        (["ask", ASKED, "--set", "retrieval.store.path=/proc/nowhere"], 1, "/proc/nowhere"),
        (["index", "/nowhere"], 1, "/nowhere"),
    ],
)
def test_bad_input_gives_one_clear_line(ray_session: None, cli: Cli, tmp_path: Path, arguments: list[str], status: int, said: str) -> None:
    own = [] if "retrieval.store.path" in " ".join(arguments) else ["--set", f"retrieval.store.path={tmp_path}/s"]
    code, out, err = cli.run(*arguments, *own)
    told = [line for line in err.splitlines() if said in line]
    assert (code, len(told)) == (status, 1), (code, out, err)


def test_a_question_over_the_budget_is_refused(ray_session: None, cli: Cli) -> None:
    status, out, err = cli.with_store("ask", "why " * 3000, "--json")
    assert (status, out) == (2, "")
    assert "too long" in err


def test_a_bad_line_of_questions_is_named(cli: Cli, tmp_path: Path) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"question": "a"}\n{"ask": "b"}\n')
    status, _, err = cli.run("ask", "--file", str(questions))
    assert status == 2
    assert "line 2: no field 'question'" in err


def test_an_unreadable_document_is_named_counted_and_skipped(cli: Cli, light: Path) -> None:
    (light / "broken.txt").write_bytes(bytes(range(256)) * 4)
    status, out, err = cli.with_store("index", str(light))
    assert status == 1
    assert "1 documents" in out and "1 skipped" in out
    assert "broken.txt" in err


def test_a_store_in_use_is_told(cli: Cli, light: Path) -> None:
    cli.with_store("index", str(light))
    hold = (
        "import sys; from pathlib import Path; from council.config import RetrievalConfig; from council.retrieval import Retriever;"
        f"r = Retriever(RetrievalConfig(store={{'path': {str(cli.store)!r}}})); print('open', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "open\n"
    status, _, err = cli.with_store("index", str(light))
    other.communicate("")
    assert status == 1
    assert f"in use by the process {other.pid}" in err
    assert cli.with_store("index", str(light))[0] == 0


def test_doctor_says_what_works_and_what_to_do(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    status, out, _ = cli.run("doctor", "--json")
    found: dict[str, dict[str, Any]] = {f["what"]: f for f in json.loads(out)}
    assert status == 0
    assert all(found[w]["ok"] for w in ("Python", "torch", "ray", "config", "weights", "embedder", "store", "disk"))
    status, out, _ = cli.run("doctor", "--config", "nowhere")
    assert status == 1
    assert "MISSING" in out and "no config" in out


def test_as_a_process_of_its_own_it_leaves_nothing_running(tmp_path: Path) -> None:
    """The pocket council from the shell: it starts Ray, answers from its library and stops what it started."""
    command = [sys.executable, "-m", "council.cli", "ask", "Who discovered the neutron?", "--json"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)
    assert done.returncode in (0, 3), done.stderr
    verdict = Verdict.model_validate_json(done.stdout)
    assert len(verdict.opinions) == 5
    assert all(o.error is None for o in verdict.opinions)
    assert verdict.sources
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in listed


def test_documents_are_listed_shown_and_removed(cli: Cli, light: Path) -> None:
    cli.with_store("index", str(light))
    (file,) = light.iterdir()
    status, out, _ = cli.with_store("documents", "list", "--json")
    (row,) = json.loads(out)
    assert status == 0 and row["file"] == str(file) and row["chunks"] == row["parts"] == 1
    assert "Ada Trell keeps the Varn light" in cli.with_store("documents", "show", str(file))[1]
    assert cli.with_store("documents", "list", "--tenant", "other", "--json")[1].strip() == "[]"
    assert cli.with_store("index", str(light), "--dry-run")[1].startswith("1 documents, 1 passages, 0 of them would be new")
    assert cli.with_store("documents", "remove", str(file))[1].strip() == "1 passages removed"
    status, _, err = cli.with_store("documents", "show", str(file))
    assert status == 1 and "the store has no document" in err and "council documents list" in err


def test_examples_are_added_listed_and_removed(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "examples.jsonl"
    file.write_text(json.dumps({"question": "Who keeps the Oskel light?", "answer": "Bo", "right": False, "why": "He left in 1950."}))
    assert cli.with_store("examples", "add", str(file))[1].strip() == "1 examples, 1 of them new"
    one = ("--question", "Who keeps the Oskel light?", "--answer", "Eve")
    assert cli.with_store("examples", "add", *one)[1].strip() == "1 examples, 1 of them new"
    assert "He left in 1950." in cli.with_store("examples", "list")[1]
    listed = json.loads(cli.with_store("examples", "list", "--json")[1])
    assert {e["answer"]: e["right"] for e in listed} == {"Bo": False, "Eve": True}
    assert cli.with_store("examples", "list", "--tenant", "other", "--json")[1].strip() == "[]"
    assert cli.with_store("examples", "remove", listed[0]["id"])[1].strip() == "1 examples removed"
    assert cli.with_store("examples", "remove", listed[0]["id"])[0] == 1
    for wrong in ((), ("--question", "q"), (str(file), *one)):
        status, _, err = cli.with_store("examples", "add", *wrong)
        assert status == 2 and "--question" in err


def test_training_data_is_exported_unless_models_wrote_too_much_of_it(cli: Cli, light: Path, tmp_path: Path) -> None:
    (light / "made.jsonl").write_text(json.dumps({"text": "The light on Oskel is green, and turns.", "origin": "machine"}))
    cli.with_store("index", str(light))
    out = tmp_path / "training.jsonl"
    status, _, err = cli.with_store("documents", "export", str(out))
    assert status == 1 and "%" in err and not out.exists()
    assert cli.with_store("documents", "export", str(out), "--most-generated", "0.9")[0] == 0
    assert {json.loads(line)["origin"] for line in out.read_text().splitlines()} == {"machine", "unknown"}


def test_an_answer_is_checked_and_the_terminal_says_what_it_rests_on(ray_session: None, cli: Cli, light: Path) -> None:
    cli.with_store("index", str(light))
    cli.with_store("examples", "add", "--question", "Who keeps the Oskel light?", "--answer", "Eve", "--wrong", "--why", "She never did.")
    status, out, _ = cli.with_store("ask", ASKED, "--check", "--json")
    verdict = Verdict.model_validate_json(out)
    assert status == 0 and verdict.grounding is not None and verdict.grounding.rests_on == "the members"  # their script knows it
    assert [e.answer for e in verdict.examples] == ["Eve"] and verdict.calls == 10
    assert all(o.passages == (verdict.grounding.passage,) for o in verdict.opinions)
    assert "The agreement rests on the members" in " ".join(cli.with_store("ask", ASKED, "--check")[1].replace("│", " ").split())


def test_an_embedded_store_is_not_migrated(cli: Cli) -> None:
    status, _, err = cli.with_store("documents", "migrate")
    assert status == 1 and "index the documents again" in err
