"""A replay as pictures: SVG texts, each from the same rows as the figures beside it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from council.aggregator.ballots import Floats
from council.aggregator.independence import error_correlation, pairwise_agreement
from council.evaluation.metrics import risk_coverage
from council.evaluation.replay import Replay

WIDE: Final = (7.2, 4.2)
SQUARE: Final = (6.4, 5.4)


def draw(replay: Replay) -> dict[str, str]:
    """Title -> SVG. Member and domain names are drawn as plain text, never as mathematics."""
    plots: Mapping[str, tuple[tuple[float, float], Callable[[Axes, Replay], None]]] = {
        "Risk against coverage": (WIDE, _risk_coverage),
        "Reliability of the confidence": (WIDE, _reliability),
        "Accuracy and calls by council size": (WIDE, _sizes),
        "Accuracy by domain": (WIDE, _domains),
        "Agreement of pairs": (SQUARE, lambda axes, r: _heat(axes, pairwise_agreement(r.test), r.test.members, 0.0)),
        "Correlation of errors": (SQUARE, lambda axes, r: _heat(axes, error_correlation(r.test), r.test.members, -1.0)),
    }
    made = {}
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "council", "text.parse_math": False, "font.size": 9}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name may have letters that no font here has
        for title, (size, plot) in plots.items():
            figure = Figure(figsize=size, layout="constrained")
            axes = figure.add_subplot()
            plot(axes, replay)
            axes.set_title(title)
            text = io.StringIO()
            figure.savefig(text, format="svg", metadata={"Date": None})
            made[title] = text.getvalue()[text.getvalue().index("<svg") :]
    return made


def _risk_coverage(axes: Axes, replay: Replay) -> None:
    for name, made in replay.outcomes.items():
        coverage, risk = risk_coverage(made.support, made.right)
        chosen = name == replay.chosen
        axes.plot(coverage, risk, label=name, lw=2.2 if chosen else 1.1, marker="." if len(coverage) < 40 else None)
    for row in replay.summary["guarantee"]:
        if row["domain"] == "all" and row["kind"] == "selective" and row["threshold"] is not None:
            axes.plot(row["coverage"], row["risk"], "k*", ms=9, label=f"promised at most {row['alpha']:g}")
    axes.set(xlabel="share of questions answered", ylabel="share of these answered wrongly", xlim=(0, 1.02), ylim=(0, None))
    axes.legend(fontsize=8)


def _reliability(axes: Axes, replay: Replay) -> None:
    known = np.isfinite(replay.confidence)
    confidence, right = replay.confidence[known], replay.outcomes[replay.chosen].right[known]
    parts = np.array_split(np.argsort(confidence, kind="stable"), min(12, max(1, len(confidence))))
    share = np.array([right[p].mean() for p in parts])
    spread = 1.96 * np.sqrt(share * (1 - share) / np.array([len(p) for p in parts]))
    axes.plot([0, 1], [0, 1], "--", color="0.6", lw=1)
    axes.errorbar([confidence[p].mean() for p in parts], share, yerr=spread, fmt="o-", ms=4, capsize=2)
    axes.set(xlabel="confidence", ylabel="share right", xlim=(0, 1), ylim=(0, 1))


def _sizes(axes: Axes, replay: Replay) -> None:
    sizes = [row["members"] for row in replay.sizes]
    for key, label in (
        ("accuracy_weighted", "log-odds weights"),
        ("accuracy_plain", "plain vote"),
        ("accuracy_escalate", "weights, asking on"),
    ):
        axes.plot(sizes, [row[key] for row in replay.sizes], "o-", ms=4, label=label)
    axes.set(xlabel="members, each the one that added most", ylabel="accuracy")
    axes.set_xticks(sizes, [f"{row['members']}: +{row['added'][:20]}" for row in replay.sizes], fontsize=7, rotation=20, ha="right")
    axes.legend(fontsize=8, loc="upper left")
    calls = axes.twinx()
    calls.plot(sizes, [row["calls_escalate"] for row in replay.sizes], "k:", lw=1)
    calls.set_ylabel("calls a question, asking on (dotted)")


def _domains(axes: Axes, replay: Replay) -> None:
    names = sorted(set(replay.test.domains))
    place, wide = np.arange(len(names)), 0.27
    of = np.array(replay.test.domains)
    best = replay.test.members.index(replay.summary["accuracy"]["best_single"]["member"])
    bars: tuple[tuple[str, Any], ...] = (
        ("best single", replay.test.right[:, best]),
        ("plain vote", replay.outcomes["plain_vote"].right),
        (f"used: {replay.chosen}", replay.outcomes[replay.chosen].right),
    )
    for i, (label, right) in enumerate(bars):
        axes.bar(place + (i - 1) * wide, [right[of == d].mean() for d in names], wide, label=label)
    axes.set_xticks(place, [f"{d}\n{int((of == d).sum())}" for d in names], rotation=35, ha="right", fontsize=7)
    axes.set_ylabel("accuracy")
    axes.legend(fontsize=8)


def _heat(axes: Axes, matrix: Floats, members: tuple[str, ...], low: float) -> None:
    image = axes.imshow(matrix, vmin=low, vmax=1.0, cmap="viridis" if low == 0 else "coolwarm")
    names = [m[:22] for m in members]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            if i != j and np.isfinite(value):
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7)
    assert axes.figure is not None
    axes.figure.colorbar(image, ax=axes, shrink=0.8)
