"""`council eval ...`: parse, call, print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from council.evaluation.dataset import Labelled
    from council.orchestrator import Council
    from council.types import Verdict

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure what members and votes are worth.")
Dataset = Annotated[
    str,
    typer.Argument(
        help="Labelled questions, .jsonl: question, answer (null: none), aliases, domain; or hf:ORG/NAME[/CONFIG], of the Hugging Face hub."
    ),
]
ConfigName = Annotated[str, typer.Option("--config", "-c", help="A preset's name or a YAML file.")]
Split = Annotated[str | None, typer.Option(help="Only questions of this split; of hf:..., test or else validation if not given.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key.")]
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
    from council.evaluation.replay import replay as measure
    from council.evaluation.report import write_report

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
        made = measure(fitting, measured, seed=seed, say=lambda stage: status.update(stage))
        status.update("drawing")
        write_report(made, out, f"Replay of {len(measured)} questions", ids)
    _show(made.summary, out)


def _print(told: tuple[str, Sequence[str], Sequence[Sequence[str]]]) -> None:
    name, heads, rows = told
    table = Table(title=name, title_justify="left")
    for head in heads:
        table.add_column(head)
    for row in rows:
        table.add_row(*map(Text, row))  # names are data, not markup
    Console().print(table)


def _show(summary: Mapping[str, Any], out: Path) -> None:
    from council.evaluation.report import report_tables

    console = Console()
    console.print(summary["worth"], markup=False)
    for table in report_tables(summary):
        _print(table)
    console.print(f"Written: {out / 'report.html'}, and summary.json, report.md and rows.jsonl beside it.", markup=False)


@app.command()
def run(
    dataset: Dataset,
    config: ConfigName = "pocket",
    out: Out = Path("report"),
    split: Split = None,
    no_retrieval: Annotated[bool, typer.Option("--no-retrieval", help="Ask from memory, without passages.")] = False,
    score: Annotated[bool, typer.Option("--score", help="Have every member judge every answer by its likelihood, too.")] = False,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(help="Of the halves and of the bootstrap.")] = 0,
) -> None:
    """Ask all members of a council every question of a dataset, and report what their votes are worth. Broken off, it goes on."""
    _require("krippendorff", "matplotlib", "sklearn")
    from council.config import load_config
    from council.evaluation.dataset import read_questions, title_of
    from council.evaluation.fitting import halves
    from council.evaluation.replay import replay as measure
    from council.evaluation.report import write_report
    from council.evaluation.run import by_likelihood, check_votes, to_ballots
    from council.orchestrator import Council

    questions = read_questions(dataset, split)
    chosen = load_config(config, {**_everybody(settings), "aggregator.scoring": "report" if score else "off"})
    check_votes(chosen)
    with Council(chosen) as council:
        verdicts = _asked(council, questions, out, not no_retrieval)
        members, threshold = [s.name for s in council.config.specialists], council.config.aggregator.alike_from
        ballots = to_ballots(questions, verdicts, members, council.likeness, threshold)
    with Console(stderr=True).status("measuring"):
        inside, outside = halves(ballots, seed=seed)
        scored = {name: made.take(outside) for name, made in by_likelihood(questions, verdicts).items()}
        made = measure(ballots.take(inside), ballots.take(outside), seed=seed, others=scored)
        write_report(made, out, f"{config}: {len(questions)} questions of {title_of(dataset)}", [questions[i].id for i in outside])
    _show(made.summary, out)


@app.command()
def ablate(
    dataset: Dataset,
    config: ConfigName = "pocket",
    out: Out = Path("report"),
    split: Split = None,
    settings: Settings = None,
) -> None:
    """Put a dataset to the council, and to it without passages, to its base alone, and to its best member alone and resampled."""
    _require("sklearn")
    from council.config import load_config
    from council.evaluation.ablation import ablate as run_variants
    from council.evaluation.ablation import ablation_table
    from council.evaluation.dataset import read_questions, title_of
    from council.evaluation.report import markdown, plain, write_files

    questions = read_questions(dataset, split)
    with Progress(*Progress.get_default_columns(), console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=len(questions))
        rows = run_variants(
            load_config(config, _everybody(settings)), questions, out,
            lambda name, done, of: bar.update(task, description=name, completed=done, total=of),
        )  # fmt: skip
    table = ablation_table(rows)
    title = f"{config}: {rows[0]['n']} questions of {title_of(dataset)}"
    write_files({"ablation.json": json.dumps(plain(rows), indent=2) + "\n", "ablation.md": markdown(title, "", [table])}, out)
    _print(table)
    Console().print(f"Written: {out / 'ablation.md'} and ablation.json.", markup=False)


def _everybody(settings: Sequence[str] | None) -> dict[str, Any]:
    """Settings with which every member is asked once, and nothing is left to what was calibrated."""
    from council.config import parse_settings

    return {**parse_settings(settings), "aggregator.calibration": None, "routing.policy": "all", "asking": {}}


def _asked(council: Council, questions: Sequence[Labelled], out: Path, retrieval: bool) -> list[Verdict]:
    from council.evaluation.run import ask_all

    with Progress(*Progress.get_default_columns(), console=Console(stderr=True)) as bar:
        task = bar.add_task("asking", total=len(questions))
        return ask_all(council, questions, out, retrieval, lambda done, _: bar.update(task, completed=done))


def calibrate(
    dataset: Dataset,
    config: ConfigName = "pocket",
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for calibration.json, and for the answers.")] = Path("calibration"),
    alpha: Annotated[float | None, typer.Option(help="The error to promise; without it, confidence alone is calibrated.")] = None,
    kind: Annotated[str, typer.Option(help="selective: wrong of those answered; wrong: answered and wrong, of all.")] = "selective",
    delta: Annotated[float, typer.Option(help="How often a selective promise may fail.")] = 0.1,
    split: Split = None,
    settings: Settings = None,
) -> None:
    """Ask a council labelled questions, and write the calibration for its config to name (aggregator.calibration)."""
    _require("sklearn")
    from council.config import AskingConfig, load_config, parse_settings
    from council.errors import ConfigError
    from council.evaluation.calibrate import Promised, calibration_lines, check_calibrates
    from council.evaluation.calibrate import calibrate as fit
    from council.evaluation.dataset import read_questions, title_of
    from council.evaluation.report import write_files
    from council.orchestrator import Council

    if kind not in ("selective", "wrong"):
        raise ConfigError(f"--kind {kind!r}: it is selective or wrong")
    questions = read_questions(dataset, split)
    chosen = load_config(config, {**parse_settings(settings), "aggregator.calibration": None})
    # an exact policy has the outcomes of asking all, and to calibrate, all answers are wanted
    asked = chosen.model_copy(update={"asking": AskingConfig()}) if chosen.asking.is_exact else chosen
    wanted = Promised(alpha, "wrong" if kind == "wrong" else "selective", delta) if alpha is not None else None
    check_calibrates(chosen, wanted)
    with Council(asked) as council:
        verdicts = _asked(council, questions, out, True)
        made = fit(chosen, questions, verdicts, title_of(dataset), wanted, council.likeness)
    write_files({"calibration.json": made.model_dump_json(indent=2) + "\n"}, out)
    console = Console()
    for told in calibration_lines(made):
        console.print(told, markup=False)
    console.print(f"Written: {out / 'calibration.json'}. Name it in the config: aggregator.calibration.", markup=False)


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
