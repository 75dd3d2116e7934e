from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from council.config import RoutingConfig
from council.router import Router, choose
from specialists.config import SpecialistConfig

AXES = ("heart", "court", "money")


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """A word on each axis: likeness that can be checked by hand."""
    rows = np.array([[float(axis in t) for axis in AXES] + [0.1] for t in texts], dtype=np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


SPECIALISTS = [
    SpecialistConfig(name="medicine", engine="e", domain="m", description="the heart"),
    SpecialistConfig(name="law", engine="e", domain="l", description="rights", examples=("Which court?", "Whose money?")),
    SpecialistConfig(name="finance", engine="e", domain="f", description="money"),
]


def test_the_nearest_comes_first_and_weights_sum_to_one() -> None:
    weights = Router(RoutingConfig(), SPECIALISTS, embed).weights("my heart hurts")
    assert next(iter(weights)) == "medicine"
    assert sum(weights.values()) == pytest.approx(1.0)
    assert list(weights.values()) == sorted(weights.values(), reverse=True)


def test_an_example_counts_as_much_as_the_description() -> None:
    weights = Router(RoutingConfig(), SPECIALISTS, embed).weights("whose money is it")
    assert weights["law"] == pytest.approx(weights["finance"])


def test_a_low_temperature_sharpens() -> None:
    sharp = Router(RoutingConfig(temperature=0.01), SPECIALISTS, embed).weights("heart")
    flat = Router(RoutingConfig(temperature=100.0), SPECIALISTS, embed).weights("heart")
    assert sharp["medicine"] > 0.99
    assert flat["medicine"] == pytest.approx(1 / 3, abs=0.01)


def test_policies_choose() -> None:
    weights = {"a": 0.6, "b": 0.3, "c": 0.1}
    assert choose(weights, RoutingConfig(policy="all")) == weights
    assert list(choose(weights, RoutingConfig(policy="top_k", top_k=2))) == ["a", "b"]
    assert list(choose(weights, RoutingConfig(policy="threshold", threshold=0.2))) == ["a", "b"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0, 1))
def test_a_threshold_never_leaves_nobody(shares: list[float], threshold: float) -> None:
    weights = {str(i): w for i, w in enumerate(sorted(shares, reverse=True))}
    chosen = choose(weights, RoutingConfig(policy="threshold", threshold=threshold))
    assert "0" in chosen
    assert all(w >= threshold for name, w in chosen.items() if name != "0")


def test_a_route_keeps_the_order_of_the_config_and_says_who_was_left_out() -> None:
    route = Router(RoutingConfig(policy="top_k", top_k=2), SPECIALISTS, embed).route("the court, then the heart")
    assert list(route.asked) == ["medicine", "law"] and list(route.spare) == ["finance"]
    named = Router(RoutingConfig(policy="top_k", top_k=2), SPECIALISTS, embed).route("my heart", ["law"])
    assert (list(named.asked), list(named.spare), named.domain) == (["law"], [], "m")
