"""What the commands share: their common options, a clean stdout, progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from council.config import parse_settings

if TYPE_CHECKING:
    from council.orchestrator import Council

Config = Annotated[str, typer.Option("--config", "-c", help="A preset's name or a YAML file.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key, such as retrieval.top_k=6.")]
Tenant = Annotated[str, typer.Option(help="Whose documents.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]


@contextmanager
def only_ours_on_stdout() -> Iterator[TextIO]:
    """Our own stdout; what libraries and their child processes write to theirs goes to stderr meanwhile."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8") as ours:
            yield ours
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def opened(config: str, settings: list[str] | None) -> Iterator[Council]:
    """A council whose members are not started."""
    from council.orchestrator import Council

    council = Council.from_config(config, parse_settings(settings))
    try:
        yield council
    finally:
        council.close()


def progress_bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def plain_console(out: TextIO) -> Console:
    return Console(file=out, highlight=False, markup=False)
