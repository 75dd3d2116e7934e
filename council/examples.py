"""`council examples ...`: parse, call, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from council.errors import QuestionError
from council.rendering import render_rows
from council.retrieval import read_examples
from council.terminal import AsJson, Config, Settings, Tenant, only_ours_on_stdout, opened, plain_console
from council.types import Example

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Worked examples of right and wrong answers, shown to the members.")


@app.command()
def add(
    files: Annotated[list[Path] | None, typer.Argument(help="JSONL: question, answer, right, and if wanted why, domain.")] = None,
    question: Annotated[str | None, typer.Option(help="One example in place of files: its question.")] = None,
    answer: Annotated[str | None, typer.Option(help="And its answer.")] = None,
    right: Annotated[bool, typer.Option("--right/--wrong", help="Whether that answer is right.")] = True,
    why: Annotated[str, typer.Option(help="Why it is, or is not.")] = "",
    domain: Annotated[str | None, typer.Option(help="For questions of this domain.")] = None,
    config: Config = "pocket",
    tenant: Tenant = "default",
    settings: Settings = None,
) -> None:
    """Add examples; one with the same question and answer is replaced."""
    if bool(files) == (question is not None or answer is not None):
        raise QuestionError("give files, or one example by --question and --answer")
    if not files and not (question and answer):
        raise QuestionError("an example has a --question and an --answer")
    with only_ours_on_stdout() as out, opened(config, settings) as council:
        if question and answer:
            found = [Example(question=question, answer=answer, right=right, why=why, domain=domain)]
        else:
            found = read_examples(files or [])
        new = council.examples.add(found, tenant)
        print(f"{len(found)} examples, {new} of them new", file=out)


@app.command("list")
def list_(config: Config = "pocket", tenant: Tenant = "default", as_json: AsJson = False, settings: Settings = None) -> None:
    """The examples of a tenant."""
    with only_ours_on_stdout() as out, opened(config, settings) as council:
        found = council.examples.all(tenant)
        if as_json:
            print(json.dumps([e.model_dump(mode="json") for e in found], ensure_ascii=False), file=out)
            return
        rows = [(e.id, e.question, e.answer, "right" if e.right else "wrong", e.why, e.domain or "") for e in found]
        plain_console(out).print(render_rows(("id", "question", "answer", "is", "why", "domain"), rows))


@app.command()
def remove(
    ids: Annotated[list[str], typer.Argument(help="As `council examples list` shows them.")],
    config: Config = "pocket",
    tenant: Tenant = "default",
    settings: Settings = None,
) -> None:
    """Remove examples."""
    with only_ours_on_stdout() as out, opened(config, settings) as council:
        print(f"{council.examples.remove(ids, tenant)} examples removed", file=out)
