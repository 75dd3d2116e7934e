"""`council eval ...`: parse, call, print."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure what members and votes are worth.")
Out = Annotated[Path, typer.Option("--out", "-o", help="The folder that the report is written to.")]


@app.command()
def replay(
    votes: Annotated[Path | None, typer.Argument(help="Recorded votes, .jsonl or .jsonl.gz: a half is fitted on, a half measured.")] = None,
    out: Out = Path("report"),
    members: Annotated[str | None, typer.Option(help="Only these: names with commas between.")] = None,
    fit: Annotated[Path | None, typer.Option(help="Fit on this file, instead of on a half of VOTES.")] = None,
    test: Annotated[Path | None, typer.Option(help="Measure on this file.")] = None,
    seed: Annotated[int, typer.Option(help="Of the halves and of the bootstrap.")] = 0,
) -> None:
    """Fit weights, calibration and thresholds on recorded answers, and report what they are worth on others."""
    from council.errors import DatasetError

    _require("krippendorff", "matplotlib", "sklearn")
    from council.evaluation.fitting import halves
    from council.evaluation.recorded import read_votes
    from council.evaluation.replay import replay as run
    from council.evaluation.report import report_tables, write_report

    if (votes is None) == (fit is None) or (fit is None) != (test is None):
        raise DatasetError("give either VOTES, of which one half is fitted on, or both --fit FILE and --test FILE")
    progress = Console(stderr=True)
    with progress.status("reading votes") as status:
        if votes is not None:
            recorded = read_votes(votes)
            chosen = recorded.ballots.of(members.split(",")) if members else recorded.ballots
            inside, outside = halves(chosen, seed=seed)
            fitting, measured, ids = chosen.take(inside), chosen.take(outside), [recorded.ids[i] for i in outside]
        else:
            assert fit is not None and test is not None
            first, second = read_votes(fit), read_votes(test)
            names = tuple(members.split(",")) if members else first.ballots.members
            fitting, measured, ids = first.ballots.of(names), second.ballots.of(names), list(second.ids)
            _no_overlap(first.ids, second.ids)
        made = run(fitting, measured, seed=seed, say=lambda stage: status.update(stage))
        status.update("drawing")
        write_report(made, out, f"Replay of {len(measured)} questions", ids)
    console = Console()
    console.print(made.summary["worth"], markup=False)
    for name, heads, rows in report_tables(made.summary):
        table = Table(title=name, title_justify="left")
        for head in heads:
            table.add_column(head)
        for row in rows:
            table.add_row(*(cell.replace("[", r"\[") for cell in row))
        console.print(table)
    console.print(f"Written: {out / 'report.html'}, and summary.json, report.md and rows.jsonl beside it.", markup=False)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="The folder of a report.")],
    second: Annotated[Path, typer.Argument(help="The folder of another, on the same questions.")],
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
) -> None:
    """Whether one report's answers are right more often than another's, question by question."""
    from council.evaluation.compare import compare_reports

    console = Console()
    for line in compare_reports(first, second, seed):
        console.print(line, markup=False)


def _require(*packages: str) -> None:
    from council.errors import DatasetError

    for package in packages:
        if find_spec(package) is None:
            raise DatasetError(f"reports need the package {package}: pip install 'council-of-specialists[report]'")


def _no_overlap(first: Iterable[str], second: Iterable[str]) -> None:
    """Refuse to measure on what was fitted on."""
    from council.errors import DatasetError

    shared = set(first) & set(second)
    if shared:
        raise DatasetError(f"{len(shared)} questions stand in both files, such as {min(shared)!r}: what is fitted on can't be measured on")
