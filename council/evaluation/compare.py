"""Two reports on the same questions, compared in pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from council.errors import DatasetError
from council.evaluation.metrics import mcnemar, paired_interval


def compare_reports(first: Path, second: Path, seed: int = 0) -> list[str]:
    """Lines for a reader: the difference in accuracy with its 95% paired interval, and McNemar's exact p-value.

    Raises DatasetError where a folder has no rows, or the two share no question.
    """
    one, other = _right(first), _right(second)
    shared = sorted(one.keys() & other.keys())
    if not shared:
        raise DatasetError(f"{first} and {second} have no question in common")
    a, b = np.array([one[i] for i in shared]), np.array([other[i] for i in shared])
    gain, low, high = paired_interval(b, a, seed)
    p = mcnemar(b, a)
    verdict = "the second is better" if low > 0 else "the first is better" if high < 0 else "no difference that these questions show"
    left = len(one.keys() | other.keys()) - len(shared)
    return [
        f"{len(shared)} questions in common" + (f"; {left} stand in one report only and are left out" if left else ""),
        f"right: {a.mean():.4f} in {first}, {b.mean():.4f} in {second}",
        f"second less first: {100 * gain:+.2f} points (95% interval {100 * low:+.2f} to {100 * high:+.2f}, paired bootstrap)",
        f"McNemar's exact test: {int((a & ~b).sum())} right in the first alone, {int((b & ~a).sum())} in the second alone, p = {p:.4g}",
        f"So: {verdict}.",
    ]


def _right(folder: Path) -> dict[str, bool]:
    path = folder / "rows.jsonl"
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]
        return {str(row["id"]): bool(row["right"]) for row in rows}
    except OSError as exc:
        raise DatasetError(f"{path} can't be read: {exc.strerror}; give the folder that `council eval` wrote") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise DatasetError(f"{path} holds no rows of a report: {exc}") from exc
