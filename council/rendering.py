"""Verdicts and lists for people: rich renderables. Text of models and documents is shown as text, never as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from council.types import NOT_KNOWN, Verdict

if TYPE_CHECKING:
    from council.retrieval import IndexReport

BAR_WIDTH = 24
MOST_LEFT_OUT = 3
STYLES = {"answered": "bold green", "abstained": "bold yellow", "failed": "bold red"}


CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What moves a terminal's cursor, clears it or writes its title. White space is not among it."""


def plain(text: str) -> str:
    """A text of documents or models as a terminal may be given it: without control characters."""
    return CONTROL.sub("\ufffd", text)


def _plain(value: Any) -> Any:
    """The same of all texts in a value of JSON."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def _bar(share: float) -> Text:
    full = round(share * BAR_WIDTH)
    return Text("█" * full, style="cyan") + Text("░" * (BAR_WIDTH - full), style="dim")


def _groups(verdict: Verdict) -> Table:
    """A bar per group of answers: its support, its answer, its members; then who cast no vote, and why."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    for group in verdict.groups:
        style = "dim" if group.answer == NOT_KNOWN else ""
        table.add_row(
            _bar(group.support),
            f"{group.support:4.0%}",
            Text(group.answer, style=style),
            Text(", ".join(group.members), style="dim"),
        )
    for opinion in verdict.opinions:
        if opinion.error is not None:
            table.add_row(
                Text("no vote", style="red"),
                "",
                Text(opinion.error, style="red"),
                Text(opinion.specialist, style="dim"),
            )
    return table


def _claims(verdict: Verdict) -> Iterable[RenderableType]:
    """What was dropped of long answers, and who said it."""
    for claim in verdict.claims:
        if not claim.kept:
            yield Text(f"dropped, with a support of {claim.support:.0%}: {claim.text} ({', '.join(claim.members)})", style="dim")


def _candidates(verdict: Verdict) -> Table:
    """The answers as the members judged them by likelihood; with how much the passages spoke for each."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    for candidate in verdict.candidates:
        lift = f"passages {candidate.by_passages:+.1f}" if candidate.by_passages is not None else ""
        table.add_row(_bar(candidate.support), f"{candidate.support:4.0%}", Text(candidate.answer), Text(lift, style="dim"))
    return table


def _sources(verdict: Verdict) -> Iterable[RenderableType]:
    for number, source in enumerate(verdict.sources, 1):
        origin = source.provenance
        head = Text(f"[{number}] {source.title or 'untitled'}", style="bold")
        head.append(f"  {origin.source or 'no source given'} · origin: {origin.origin}", style="dim")
        yield head
        yield Text(source.text if len(source.text) <= 240 else f"{source.text[:240]}…", style="italic")


def _grounding(verdict: Verdict) -> Iterable[RenderableType]:
    """What the agreement rests on, where that was checked."""
    found = verdict.grounding
    if found is not None:
        title = next((s.title for s in verdict.sources if s.id == found.passage), "") or "the best passage"
        without = f"without {title!r} they say {found.without_it or 'nothing together'!r}, without any {found.without_any or 'nothing'!r}"
        yield Text(
            f"The agreement rests on {found.rests_on}: {without}.",
            style="yellow" if found.contradicted or found.rests_on == "the members" else "dim",
        )


def render_verdict(question: str, verdict: Verdict) -> RenderableType:
    """The answer or the abstention, warnings, the groups and dissent, what was dropped, and the sources."""
    question, verdict = plain(question), Verdict.model_validate(_plain(verdict.model_dump(mode="json")))
    answer = Text(
        verdict.answer if verdict.status == "answered" and verdict.answer else verdict.status,
        style=STYLES[verdict.status],
    )
    warnings = [Text(w, style="yellow") for w in verdict.warnings]
    if verdict.confidence is not None:
        known = verdict.confidence
        warnings.insert(0, Text(f"Right with a probability of {known.value:.0%}, as calibrated on {known.calibrated_on}.", style="dim"))
    said: list[RenderableType] = [answer, Text(verdict.reason, style="dim"), *warnings, *_grounding(verdict), *_claims(verdict), Text("")]
    if verdict.groups or any(o.error for o in verdict.opinions):
        said += [_groups(verdict), Text("")]
    if verdict.candidates:
        said += [Text("By likelihood", style="underline"), _candidates(verdict), Text("")]
    if verdict.sources:
        said += [
            Text("Sources" if verdict.status == "answered" else "What the members were shown", style="underline"),
            *_sources(verdict),
        ]
    said += [Text(f"Left out: {out.title or 'untitled'}: {out.why}", style="dim") for out in verdict.left_out[:MOST_LEFT_OUT]]
    if len(verdict.left_out) > MOST_LEFT_OUT:
        said.append(Text(f"Left out besides: {len(verdict.left_out) - MOST_LEFT_OUT} passages (--json tells which)", style="dim"))
    took = verdict.timings_s.get("total")
    foot = f"{verdict.calls} calls · {took:.2f} s" if took is not None else None
    return Panel(
        Lines(*said),
        title=Text(question),
        title_align="left",
        subtitle=foot,
        subtitle_align="right",
        border_style="dim",
    )


def render_index(report: IndexReport, seconds: float, dry_run: bool) -> list[str]:
    """What indexing did, in lines."""
    would = "would be " * dry_run
    rate = f", {report.documents / seconds:.0f} documents a second" if seconds > 0 and report.documents and not dry_run else ""
    told = [
        f"{report.documents} documents, {report.chunks} passages, {report.new} of them {would}new; {report.unchanged} documents unchanged; "
        f"{report.removed} passages {would}removed; {len(report.skipped)} skipped{rate}"
    ]
    if report.duplicates or report.poor:
        held = f"{report.duplicates} passages that others say too, {report.poor} for their quality"
        told.append(f"held back: {held}; see `council documents list --held`")
    told += [f"{would}replaced: {file}" for file in report.changed]
    return told + [f"{would}pruned: {file}" for file in report.pruned]


def render_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A plain table of texts."""
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table
