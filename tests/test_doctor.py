"""What the doctor says about a council itself: who is alike, and what it was measured to be worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from council.aggregator import Calibration, Calibrator
from council.config import CouncilConfig, fingerprint, load_config
from council.doctor import Finding, examine
from tests.conftest import scripted_config


def found(name: str, settings: dict[str, Any] | None = None) -> dict[str, Finding]:
    return {f.what: f for f in examine(name, settings)}


def test_members_of_one_base_or_lineage_are_named(tmp_path: Path) -> None:
    there = {"retrieval.store.path": str(tmp_path / "s")}
    told = found("pocket", there | {"specialists.law.lineage": "l", "specialists.finance.lineage": "l"})["independence"]
    assert told.ok and "law, finance are one lineage (l) and count as one witness" in told.detail
    assert "medicine, law, finance, physics, computing share the base pocket:base" in told.detail


def calibrated(config: CouncilConfig, worth: str, path: Path) -> Path:
    made = Calibration(
        council=fingerprint(config), fitted_on="q", questions=60, date="2026-01-01", calibrator=Calibrator(kind="platt", ys=(0.0, 1.0)),
        worth=worth,
    )  # fmt: skip
    path.write_text(made.model_dump_json(), "utf-8")
    return path


def test_what_the_council_is_worth_is_told_where_it_was_measured(tmp_path: Path) -> None:
    there = {"retrieval.store.path": str(tmp_path / "s")}
    assert found("pocket", there)["worth"].ok is None
    file = calibrated(load_config("pocket"), "The council is worth no more than its best member, law.", tmp_path / "c.json")
    told = found("pocket", there | {"aggregator.calibration": str(file)})["worth"]
    assert told.ok and "worth no more than its best member, law" in told.detail and "60 questions of q" in told.detail
    other = calibrated(CouncilConfig.model_validate(scripted_config()), "much", tmp_path / "d.json")
    assert found("pocket", there | {"aggregator.calibration": str(other)})["worth"].ok is False


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_calibration_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(text, "utf-8")
    told = found("pocket", {"retrieval.store.path": str(tmp_path / "s"), "aggregator.calibration": str(file)})["worth"]
    assert told.ok is False and "can't be read" in told.detail


def test_a_reranker_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    there = {"retrieval.store.path": str(tmp_path / "s")}
    assert found("pocket", there)["reranker"].ok
    told = found("pocket", there | {"retrieval.rerank": {"model": "/no/such/folder"}})["reranker"]
    assert told.ok is False and "/no/such/folder" in told.detail and "retrieval.rerank" in told.remedy
