from __future__ import annotations

import numpy as np
import pytest

from council.aggregator.ballots import Ballots
from council.errors import CouncilError
from tests.aggregator.ballots import synthetic


def test_votes_and_right_ones_are_told_apart() -> None:
    ballots = Ballots(("a", "b"), np.array([[0, 1], [-1, 2]]), np.array([2, 3]), np.array([0, -1]), ("x", "y"))
    assert ballots.cast.tolist() == [[True, True], [False, True]]
    assert ballots.right.tolist() == [[True, False], [False, False]]
    assert ballots.exists.tolist() == [[True, True, False], [True, True, True]]
    assert ballots.indicators[1, 1].tolist() == [0, 0, 1]


def test_a_choice_that_is_not_there_is_refused() -> None:
    with pytest.raises(CouncilError, match="must be options of their question"):
        Ballots(("a",), np.array([[2]]), np.array([2]), np.array([0]), ("x",))
    with pytest.raises(CouncilError, match="as many options"):
        Ballots(("a",), np.array([[0]]), np.array([2, 2]), np.array([0]), ("x",))


def test_parts_keep_their_order() -> None:
    ballots = synthetic(20, [0.9, 0.2], missing=0.2, domains=3)
    some = ballots.take(np.array([7, 3]))
    assert some.choices.tolist() == ballots.choices[[7, 3]].tolist() and some.domains == ("d1", "d0")
    assert ballots.of(["m1"]).choices[:, 0].tolist() == ballots.choices[:, 1].tolist()
    with pytest.raises(CouncilError, match="no member 'zoe'"):
        ballots.of(["zoe"])


def test_no_questions_are_ballots_too() -> None:
    assert len(synthetic(0, [0.5])) == 0 and synthetic(0, [0.5]).most_options == 0
