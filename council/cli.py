"""The command line: parse, call, print. Exit status: 0 answered, 3 abstained, 1 failed, 2 bad usage."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console

from council.config import parse_settings
from council.documents import app as documents
from council.errors import ConfigError, CouncilError, DatasetError, DeadlineError, Overloaded, QuestionError
from council.evaluation.commands import app as evaluation
from council.evaluation.commands import calibrate
from council.examples import app as examples
from council.keys_commands import app as keys
from council.rendering import render_index, render_rows, render_verdict
from council.serve_command import serve
from council.terminal import AsJson, Config, Settings, only_ours_on_stdout, plain_console, progress_bar
from council.types import Verdict

if TYPE_CHECKING:
    from council.client import CouncilClient
    from council.orchestrator import Council

KEY_ENV = "COUNCIL_KEY"
EXIT = {"answered": 0, "abstained": 3, "failed": 1}
FAILED, USAGE = 1, 2

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="A council of small specialists that answers from your documents, with sources, or abstains.",
)  # fmt: skip

app.add_typer(evaluation, name="eval")
app.add_typer(documents, name="documents")
app.add_typer(examples, name="examples")
app.add_typer(keys, name="keys")
app.command()(calibrate)
app.command(name="serve")(serve)


def _read_questions(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise DatasetError(f"{path} can't be read: {exc}") from exc
    questions = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise DatasetError(f"{path}, line {number}: no JSON: {exc}") from exc
        if not isinstance(row, dict) or not isinstance(row.get("question"), str):
            raise DatasetError(f"{path}, line {number}: no field 'question' with a text in it")
        questions.append(row["question"])
    if not questions:
        raise DatasetError(f"{path} holds no question")
    return questions


@app.command()
def ask(
    question: Annotated[str | None, typer.Argument(help="What to ask; without it, questions are read from a prompt.")] = None,
    config: Config = "pocket",
    as_json: AsJson = False,
    no_retrieval: Annotated[bool, typer.Option("--no-retrieval", help="Ask from memory, without passages.")] = False,
    specialists: Annotated[str | None, typer.Option(help="Ask only these: names with commas between.")] = None,
    file: Annotated[Path | None, typer.Option(help="A JSONL file with a 'question' a line; a Verdict a line comes out.")] = None,
    check: Annotated[bool | None, typer.Option("--check/--no-check", help="Ask again with less to read: what does it rest on?")] = None,
    url: Annotated[str | None, typer.Option(help="Ask the council that is served there, such as http://localhost:8000.")] = None,
    key_env: Annotated[str | None, typer.Option(help=f"The environment variable with its key, instead of {KEY_ENV}.")] = None,
    settings: Settings = None,
) -> None:
    """Ask the council."""
    if question is not None and file is not None:
        raise QuestionError("give a question or --file, not both")
    if question is not None and not question.strip():
        raise QuestionError("the question is empty; ask something")
    if question is None and file is None and as_json:
        raise QuestionError("--json needs a question, or --file")
    questions = _read_questions(file) if file is not None else [question] if question is not None else None
    names = [n.strip() for n in specialists.split(",") if n.strip()] if specialists else None
    with only_ours_on_stdout() as out, _asked(config, settings, url, key_env, names) as council:
        if questions is None:
            _converse(council, names, not no_retrieval, check, out)
            return
        if file is not None:
            _ask_file(council, questions, names, not no_retrieval, check, out)
            return
        verdict = council.ask(questions[0], retrieval=not no_retrieval, specialists=names, check=check)
        _print(questions[0], verdict, as_json, out)
    raise typer.Exit(EXIT[verdict.status])


def _asked(
    config: str, settings: list[str] | None, url: str | None, key_env: str | None, names: Sequence[str] | None
) -> Council | CouncilClient:
    """The council to ask, started: one of its own, or that at the address. Raises ConfigError, also for names that no member has."""
    if url is not None:
        if config != "pocket" or settings:
            raise ConfigError("the council at --url has a config of its own: leave out --config and --set")
        from council.client import CouncilClient

        council: Council | CouncilClient = CouncilClient(url, _key(key_env))
    else:
        if key_env is not None:
            raise ConfigError("--key-env goes with --url")
        from council.orchestrator import Council

        council = Council.from_config(config, parse_settings(settings))
    try:
        with Console(stderr=True).status(f"{'Starting' if url is None else 'Reaching'} the council"):
            council.check_names(names)
            council.start()
    except BaseException:
        council.close()
        raise
    return council


def _key(named: str | None) -> str | None:
    """The key in the environment, never from the command line, which others on the machine can read. None: there is none."""
    key = os.environ.get(named or KEY_ENV, "").strip()
    if named is not None and not key:
        raise ConfigError(f"the environment variable {named} holds no key: set it")
    return key or None


def _print(question: str, verdict: Verdict, as_json: bool, out: TextIO) -> None:
    if as_json:
        print(verdict.model_dump_json(), file=out)
    else:
        plain_console(out).print(render_verdict(question, verdict))


def _converse(council: Any, names: Sequence[str] | None, retrieval: bool, check: bool | None, out: TextIO) -> None:
    """Questions from stdin until it ends or a line is empty."""
    interactive = sys.stdin.isatty()
    while True:
        if interactive:
            print("Question (empty to end): ", end="", file=out, flush=True)
        line = sys.stdin.readline()
        if not line.strip():
            return
        try:
            _print(line.strip(), council.ask(line, retrieval=retrieval, specialists=names, check=check), False, out)
        except (QuestionError, DeadlineError, Overloaded) as exc:
            print(f"error: {exc}", file=sys.stderr)


def _ask_file(
    council: Any, questions: Sequence[str], names: Sequence[str] | None, retrieval: bool, check: bool | None, out: TextIO
) -> None:
    with progress_bar() as progress:
        task = progress.add_task("asking", total=len(questions))
        verdicts = council.ask_many(
            questions,
            retrieval=retrieval,
            specialists=names,
            check=check,
            progress=lambda done: progress.update(task, completed=done),
        )
    for verdict in verdicts:
        print(verdict.model_dump_json(), file=out)


@app.command()
def index(
    paths: Annotated[list[Path], typer.Argument(help="Files (PDF, HTML, DOCX, Markdown, text, CSV, JSONL), folders, globs.")],
    config: Config = "pocket",
    tenant: Annotated[str, typer.Option(help="Whose documents these are.")] = "default",
    domain: Annotated[str | None, typer.Option(help="The domain of documents that don't state theirs.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove documents whose files are gone from these paths.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    settings: Settings = None,
) -> None:
    """Add documents, and replace those that have changed. Exit status 1 if any file had to be skipped."""
    from council.orchestrator import Council

    council = Council.from_config(config, parse_settings(settings))
    try:
        with only_ours_on_stdout() as out:
            with progress_bar() as progress:
                task = progress.add_task("indexing", total=None)
                began = time.monotonic()
                shown = lambda done, total: progress.update(task, completed=done, total=total)  # noqa: E731
                report = council.index(paths, tenant, domain, shown, prune, dry_run)
            for path, reason in report.skipped:
                print(f"skipped {path}: {reason}", file=sys.stderr)
            for line in render_index(report, time.monotonic() - began, dry_run):
                print(line, file=out)
    finally:
        council.close()
    raise typer.Exit(FAILED if report.skipped else 0)


@app.command()
def models(
    config: Config = "pocket",
    as_json: AsJson = False,
    health: Annotated[bool, typer.Option(help="Start the hosts and ask each how it is.")] = True,
    settings: Settings = None,
) -> None:
    """List the members: their engines, where their weights are, how they are."""
    from council.orchestrator import Council

    with only_ours_on_stdout() as out:
        council = Council.from_config(config, parse_settings(settings))
        try:
            if health:
                with Console(stderr=True).status("Starting the hosts"):
                    council.start_hosts()
            members = council.members(health)
        finally:
            council.close()
        rows = [
            (
                m.name,
                m.domain,
                m.engine,
                m.kind,
                m.weights,
                "not asked" if m.health is None else "ok" if m.health.ok else m.health.detail,
            )
            for m in members
        ]
        columns = ("name", "domain", "engine", "kind", "weights", "health")
        if as_json:
            print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows]), file=out)
        else:
            plain_console(out).print(render_rows(columns, rows))
    raise typer.Exit(FAILED if any(m.health is not None and not m.health.ok for m in members) else 0)


@app.command()
def doctor(config: Config = "pocket", as_json: AsJson = False, settings: Settings = None) -> None:
    """Say what works on this machine, what does not, and what to do. Exit status 1 if anything needed is missing."""
    from council.doctor import examine

    with only_ours_on_stdout() as out:
        findings = examine(config, parse_settings(settings))
        if as_json:
            print(json.dumps([f.__dict__ for f in findings]), file=out)
        else:
            marks = {True: "ok", False: "MISSING", None: "absent"}
            rows = [(marks[f.ok], f.what, f.detail, "" if f.ok else f.remedy) for f in findings]
            plain_console(out).print(render_rows(("", "what", "found", "what to do"), rows))
    raise typer.Exit(FAILED if any(f.ok is False for f in findings) else 0)


@app.command()
def demo(config: Config = "pocket", settings: Settings = None) -> None:
    """Ask the pocket council questions of its test split: some that its library answers, some that nothing does."""
    from council.demo import demo_questions, shows_both, summary
    from council.orchestrator import Council

    with only_ours_on_stdout() as out:
        with Console(stderr=True).status("Starting five specialists"):
            council = Council.from_config(config, parse_settings(settings))
            council.__enter__()
        with council:
            verdicts, questions = [], demo_questions(council.config)
            for question in questions:
                verdicts.append(council.ask(question))
                _print(question, verdicts[-1], False, out)
        print(summary(list(questions.values()), verdicts), file=out)
    raise typer.Exit(0 if shows_both(verdicts) else FAILED)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. No traceback reaches its user, but for COUNCIL_TRACEBACK=1."""
    try:
        app(args=list(arguments) if arguments is not None else None, standalone_mode=True)
    except (ConfigError, QuestionError, DatasetError) as exc:
        _end(exc, USAGE)
    except CouncilError as exc:
        _end(exc, FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as exc:
        if os.environ.get("COUNCIL_TRACEBACK"):
            raise
        _end(RuntimeError(f"{type(exc).__name__}: {exc} (set COUNCIL_TRACEBACK=1 to see where)"), FAILED)


def _end(exc: BaseException, status: int) -> None:
    print(f"error: {' '.join(str(exc).split())}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
