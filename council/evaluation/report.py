"""A replay as files: summary.json, rows.jsonl, report.md and report.html, in a folder that is whole or not there."""

from __future__ import annotations

import html
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from council.errors import DatasetError
from council.evaluation.plots import draw
from council.evaluation.replay import Replay

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .8rem;border-bottom:1px solid #d6dae0;text-align:left}
td+td,th+th{text-align:right}svg{max-width:100%;height:auto;margin:1rem 0}
.worth{font-size:1.1rem;border-left:4px solid #3b6ea5;padding-left:1rem}
@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#15181c}td,th{border-color:#333a42}svg{background:#fff}}
"""


def write_report(replay: Replay, out: Path, title: str, ids: Sequence[str]) -> None:
    """Write the four files; what was in `out` under these names is replaced, all at once. Raises DatasetError."""
    tables = report_tables(replay.summary)
    files = {
        "summary.json": json.dumps(plain(replay.summary), indent=2, ensure_ascii=False) + "\n",
        "rows.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(replay, ids)),
        "report.md": markdown(title, replay.summary["worth"], tables),
        "report.html": _html(title, replay.summary["worth"], tables, draw(replay)),
    }
    write_files(files, out)


def write_files(files: Mapping[str, str], out: Path) -> None:
    """All of the files, or none of them. Raises DatasetError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".writing-", dir=out))
        try:
            for name, text in files.items():
                (made / name).write_text(text, "utf-8")
            for name in files:
                os.replace(made / name, out / name)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as exc:
        raise DatasetError(
            f"the report can't be written to {out}: {exc.strerror or exc}; choose another --out, or free some space"
        ) from exc


def _rows(replay: Replay, ids: Sequence[str]) -> list[dict[str, Any]]:
    test, used, plain = replay.test, replay.outcomes[replay.chosen], replay.outcomes["plain_vote"]
    return [
        {
            "id": ids[i], "domain": test.domains[i], "gold": int(test.gold[i]), "choices": [int(c) for c in test.choices[i]],
            "choice": int(used.choice[i]), "right": bool(used.right[i]), "confidence": _figure(float(replay.confidence[i])),
            "plain_choice": int(plain.choice[i]), "agreement": _figure(float(plain.support[i])),
        }
        for i in range(len(test))
    ]  # fmt: skip


def _figure(value: float) -> float | None:
    return value if math.isfinite(value) else None


def plain(tree: Any) -> Any:
    """For JSON, which has no nan: null in its place."""
    if isinstance(tree, Mapping):
        return {k: plain(v) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [plain(v) for v in tree]
    return _figure(tree) if isinstance(tree, float) else tree


Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def report_tables(summary: Mapping[str, Any]) -> list[Table]:
    """(title, heads, rows) of texts; the same for the page, the Markdown and the terminal."""
    accuracy = summary["accuracy"]
    figures = [
        ["AUROC of agreement (plain vote)", _told(summary["auroc"]["agreement"])],
        ["AUROC of the confidence", _told(summary["auroc"]["confidence"])],
        ["area under risk and coverage", _told(summary["aurc"])],
        ["calibration error of the confidence", _number(summary["ece"])],
        *([f"answered at most {float(r):.0%} wrong", _told(told)] for r, told in summary["coverage_at_risk"].items()),
        ["agreement of pairs", _number(summary["agreement_rate"]["mean_pairwise"])],
        ["the same, when both are wrong", _number(summary["agreement_rate"]["when_both_wrong"])],
        ["Fleiss' kappa", _number(summary["agreement_rate"]["fleiss_kappa"])],
        ["Krippendorff's alpha", _number(summary["agreement_rate"]["krippendorff_alpha"])],
        ["correlation of errors", _number(summary["mean_error_correlation"])],
        ["effective votes", _number(summary["effective_votes"])],
        ["calls a question, asking all", _number(summary["calls_per_question"]["all"])],
        ["calls a question, asking on", _number(summary["calls_per_question"]["escalate"])],
        ["accuracy, asking on", _told(summary["accuracy_escalate"])],
    ]
    return [
        (
            "Who decides", ("method", "right", "AUROC of its support", "answered at most 20% wrong"),
            [[f"best single member: {accuracy['best_single']['member']}", _told(accuracy["best_single"]), "", ""],
             *([name + (" (used)" if name == summary["weighting"] else ""), _told(accuracy[name]), _told(made["auroc"]),
                _told(made["coverage_at_20"])] for name, made in summary["methods"].items())],
        ),
        ("Trust and cost", ("figure", "value"), figures),
        (
            "Promises", ("promise", "threshold", "answered", "wrong"),
            [[_promise(row), _number(row["threshold"]), f"{row['coverage']:.1%}", _share(row["risk"])] for row in summary["guarantee"]],
        ),
        (
            "Councils of growing size", ("member added", "weighted", "plain", "asking on", "calls, asking on", "effective votes"),
            [[row["added"], *(_number(row[k]) for k in ("accuracy_weighted", "accuracy_plain", "accuracy_escalate", "calls_escalate",
                                                       "effective_votes"))] for row in summary["council_sizes"]],
        ),
    ]  # fmt: skip


def _promise(row: Mapping[str, Any]) -> str:
    what = "wrong of all" if row["kind"] == "wrong" else f"wrong of those answered, {1 - row['delta']:.0%} sure"
    return f"{row['domain']}: at most {row['alpha']:.0%} {what}"


def _share(value: float | None) -> str:
    return "none given" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "none" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _told(estimate: Mapping[str, Any]) -> str:
    low, high = estimate["interval"]
    return f"{_number(estimate['value'])} ({_number(low)} to {_number(high)})"


def markdown(title: str, worth: str, tables: Sequence[Table]) -> str:
    """A page of tables; names are text in it, never markup."""

    def cell(text: str) -> str:
        return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

    parts = [f"# {cell(title)}\n", f"{cell(worth)}\n", "Intervals are of 95%, by bootstrap over the questions.\n"]
    for name, heads, rows in tables:
        lines = [heads, ["---"] * len(heads), *rows]
        parts.append(f"## {name}\n\n" + "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines) + "\n")
    return "\n".join(parts)


def _html(title: str, worth: str, tables: Sequence[Table], plots: Mapping[str, str]) -> str:
    esc = html.escape
    parts = [f"<h1>{esc(title)}</h1><p class=worth>{esc(worth)}</p><p>Intervals are of 95%, by bootstrap over the questions.</p>"]
    for name, heads, rows in tables:
        head = "".join(f"<th>{esc(h)}</th>" for h in heads)
        body = "".join("<tr>" + "".join(f"<td>{esc(c)}</td>" for c in row) + "</tr>" for row in rows)
        parts.append(f"<h2>{esc(name)}</h2><table><tr>{head}</tr>{body}</table>")
    parts += plots.values()
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name=viewport content="width=device-width"><title>{esc(title)}</title><style>{STYLE}</style>{"".join(parts)}</html>\n'
    )
