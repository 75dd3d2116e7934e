"""How many passages of which length suit the pocket readers: `python -m tests.bench.passages`.

On made-up documents of builds that training never sees (specialists.training.documents, held out), so that the preset's
choice is not made on the sets that tests.bench.reading reports. Three documents in a row make one file, as real files
hold more than one thing.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

from specialists.training.documents import fill_template, load_templates, trained_templates
from specialists.training.words import capital
from tests.bench.hardware import describe
from tests.bench.reading import Gold, measure

COUNTS, LENGTHS, SEED = (1, 2, 3, 4), (48, 96), 11
ASKED = 72


def write_documents(folder: Path) -> list[Gold]:
    """One file for every three held-out templates of a group; one question on each, and half as many that none answers."""
    rng, asked = Random(SEED), []
    for group in load_templates():
        filled = [fill_template(rng, template) for template in trained_templates(group, held_out=True)]
        for number in range(0, len(filled), 3):
            parts = filled[number : number + 3]
            text = "\n\n".join(f"## {capital(f.render(f.template.title))}\n\n{f.render(f.template.text)}" for f in parts)
            (folder / f"{group}-{number}.md").write_text(f"# File {group} {number}\n\n{text}\n", "utf-8")
            for one in parts:
                wordings, answer = rng.choice(one.template.asks)
                asked.append(Gold(one.render(rng.choice(wordings)), (one.render(answer),)))
                if one.template.nots:
                    asked.append(Gold(one.render(rng.choice(one.template.nots)), ()))
    rng.shuffle(asked)
    known, unknown = [g for g in asked if g.answers][:ASKED], [g for g in asked if not g.answers][: ASKED // 2]
    return known + unknown


def main() -> None:
    table = Table(title="held-out made-up documents")
    for column in ("passages", "tokens each", "members right", "council answers", "of these right", "abstains where nothing answers"):
        table.add_column(column)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        golds = write_documents(Path(place))
        for count, length in itertools.product(COUNTS, LENGTHS):
            chosen = {"retrieval.top_k": count, "retrieval.chunk_tokens": length}
            figures, _ = measure(Path(place), golds, chosen)
            single = figures["single_exact_match"].values()
            row = {
                "top_k": count, "chunk_tokens": length, "single": round(sum(single) / len(single), 4),
                "coverage": figures["council_coverage"], "accuracy": figures["council_accuracy"],
                "abstains": figures["council_abstains_unanswerable"],
            }  # fmt: skip
            rows.append(row)
            table.add_row(*(f"{v:.1%}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)
    print(json.dumps(describe() | {"questions": len(golds), "rows": rows}))


if __name__ == "__main__":
    main()
