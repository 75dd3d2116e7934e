"""A council whole and with parts left out, on scripted members."""

from __future__ import annotations

from pathlib import Path

import pytest

from council.config import CouncilConfig
from council.evaluation.ablation import ablate, ablation_table, base_alone, resampled
from tests.conftest import MEMBERS
from tests.evaluation.test_run import QUESTIONS, settings


def test_variants_are_what_they_are_called(tmp_path: Path) -> None:
    config = CouncilConfig.model_validate(settings(tmp_path))
    copies = resampled(config, "law").specialists
    assert [s.name for s in copies] == [f"law-{i}" for i in range(1, 6)] and all(s.temperature > 0 for s in copies)
    (bare,) = base_alone(config).specialists
    assert bare.adapter is None and base_alone(config).aggregator.quorum == 1


@pytest.mark.slow
def test_each_variant_is_judged_on_the_same_questions(ray_session: None, tmp_path: Path) -> None:
    said: set[str] = set()
    rows = ablate(CouncilConfig.model_validate(settings(tmp_path, "ablated")), QUESTIONS[:20], tmp_path, lambda name, *_: said.add(name))
    assert said == {"council", "without", "base", "resampled"}
    by_name = {str(r["variant"]): r for r in rows}
    best = next(name for name in by_name if name.startswith("best single member: "))
    assert best.split(": ")[1] in MEMBERS[:3], "one of the three that know"
    assert {r["n"] for r in rows} == {10} and by_name["council"]["calls"] == 5 and by_name[best]["calls"] == 1
    council, base = by_name["council"]["right_of_answerable"]["value"], by_name["base alone"]["right_of_answerable"]["value"]
    assert council >= 0.4 > base, "three of five agree, where routing leaves them weight enough"
    title, heads, lines = ablation_table(rows)
    assert title and all(len(line) == len(heads) for line in lines)
