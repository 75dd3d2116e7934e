from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from council.aggregator import decide
from council.config import AggregatorConfig, CouncilConfig, EntailmentConfig, load_config, presets
from council.errors import ConfigError
from council.types import Opinion
from tests.conftest import scripted_config


def test_every_preset_loads() -> None:
    assert "pocket" in presets()
    for name in presets():
        assert load_config(name).specialists


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'aggregator.min_agrement'"):
        load_config("pocket", {"aggregator.min_agrement": 0.5})


def test_an_unknown_key_in_a_list_is_named(tmp_path: Path) -> None:
    tree = scripted_config()
    tree["specialists"][2]["tempreature"] = 1
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=r"unknown key 'specialists\.2\.tempreature'"):
        load_config(path)


def test_overrides_reach_lists_by_name_and_number() -> None:
    config = load_config("pocket", {"specialists.law.max_tokens": 7, "engines.0.max_batch": 3, "retrieval.top_k": 2})
    assert next(s for s in config.specialists if s.name == "law").max_tokens == 7
    assert (config.engines[0].max_batch, config.retrieval.top_k) == (3, 2)


def test_an_override_of_a_missing_item_names_it() -> None:
    with pytest.raises(ConfigError, match="no 'laws' in that list"):
        load_config("pocket", {"specialists.laws.max_tokens": 7})


@pytest.mark.parametrize(
    ("content", "message"),
    [("- a\n- b\n", "holds no mapping"), ("a: [", "can't be read"), ("name: x\n", "engines: Field required")],
)
def test_a_bad_file_gives_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_lists_the_presets() -> None:
    with pytest.raises(ConfigError, match=r"presets: .*pocket"):
        load_config("nowhere.yaml")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("specialists.1.name", "medicine", "'medicine' is given twice"),
        ("specialists.1.engine", "elsewhere", "names the engine 'elsewhere'"),
        ("aggregator.quorum", 6, "6 votes can't come from 5"),
        ("retrieval.overlap_tokens", 90, "at most half"),
        ("aggregator.min_agreement", 1.5, "less than or equal to 1"),
        ("engines.0.resources", {"replicas": 3, "autoscale_to": 2}, "at least replicas"),
    ],
)
def test_values_that_do_not_fit_are_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config("pocket", {key: value})


def test_a_config_survives_a_round_trip() -> None:
    config = CouncilConfig.model_validate(scripted_config())
    assert load_config(config) == config


def test_a_file_extends_a_preset_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: pocket\nname: mine\nretrieval: {top_k: 2}\n", "utf-8")
    mine, pocket = load_config(path), load_config("pocket")
    assert (mine.name, mine.retrieval.top_k) == ("mine", 2)
    assert mine.retrieval.chunk_tokens == pocket.retrieval.chunk_tokens
    assert mine.retrieval.library == pocket.retrieval.library
    assert mine.specialists == pocket.specialists


def test_files_that_extend_one_another_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n", "utf-8")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n", "utf-8")
    with pytest.raises(ConfigError, match="in a circle"):
        load_config(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("extends: nowhere.yaml\n", "utf-8")
    with pytest.raises(ConfigError, match=r"no config .*nowhere\.yaml"):
        load_config(tmp_path / "a.yaml")


def test_answers_are_alike_from_the_threshold_of_what_compares_them() -> None:
    assert AggregatorConfig(similarity=0.9).alike_from == 0.9
    entailment = EntailmentConfig(model="a/model", threshold=0.6)
    assert AggregatorConfig(similarity=0.9, entailment=entailment).alike_from == 0.6
    votes = [Opinion(specialist=m, answer=a, text=a, weight=1.0) for m, a in (("a", "the quick boat"), ("b", "a fast ferry"))]
    for threshold, groups in ((0.6, 1), (0.8, 2)):
        rules = AggregatorConfig(entailment=entailment.model_copy(update={"threshold": threshold}))
        assert len(decide(votes, rules, lambda texts: np.full((len(texts), len(texts)), 0.7)).groups) == groups
