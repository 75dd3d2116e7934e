"""Many questions' votes as arrays: what weights are fitted on, and what reports are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from council.errors import CouncilError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NONE = -1
"""No vote, or no right answer among the options."""


@dataclass(frozen=True)
class Ballots:
    """What `members` chose on n questions. Options are counted from 0: a question's own choices, or its groups of answers.

    `choices` [n, members]: the option a member chose, -1 where it cast no vote (it failed, was not asked, or could not be
    read); `options` [n]: how many there are; `gold` [n]: the right one, -1 where none is, or it is not known.
    """

    members: tuple[str, ...]
    choices: Ints
    options: Ints
    gold: Ints
    domains: tuple[str, ...]
    grouped: bool = False
    """Whether options are groups of free answers, which mean nothing beyond their question, rather than lettered choices."""

    def __post_init__(self) -> None:
        n, m = self.choices.shape
        if len(self.members) != m or len(set(self.members)) != m or {len(self.options), len(self.gold), len(self.domains)} != {n}:
            raise CouncilError("ballots: choices must be [questions, members], with as many options, gold and domains as questions")
        for what, chosen in (("choices", self.choices), ("gold", self.gold[:, None])):
            if n and ((chosen < NONE) | (chosen >= self.options[:, None])).any():
                raise CouncilError(f"ballots: {what} must be options of their question, or {NONE}")

    def __len__(self) -> int:
        return len(self.options)

    @property
    def most_options(self) -> int:
        return int(self.options.max(initial=0))

    @cached_property
    def cast(self) -> Bools:
        """[n, members]: who voted."""
        return np.asarray(self.choices != NONE)

    @cached_property
    def right(self) -> Bools:
        """[n, members]: whose vote is right; no vote is not right."""
        return np.asarray(self.cast & (self.choices == self.gold[:, None]))

    @cached_property
    def exists(self) -> Bools:
        """[n, most options]: which options a question has."""
        return np.asarray(np.arange(self.most_options)[None, :] < self.options[:, None])

    @cached_property
    def indicators(self) -> Floats:
        """[n, members, most options]: 1 where a member chose an option."""
        return np.asarray(self.choices[:, :, None] == np.arange(self.most_options), np.float64)

    def take(self, rows: Ints | Bools | slice) -> Ballots:
        """Some of the questions, in the order of `rows`."""
        index = np.arange(len(self))[rows]
        return Ballots(
            self.members, self.choices[index], self.options[index], self.gold[index], tuple(self.domains[i] for i in index), self.grouped
        )

    def of(self, members: Sequence[str]) -> Ballots:
        """The same questions with these members alone, in this order. Raises CouncilError for one that is not there."""
        for name in members:
            if name not in self.members:
                raise CouncilError(f"no member {name!r} in these ballots; there are: {', '.join(self.members)}")
        columns = [self.members.index(name) for name in members]
        return Ballots(tuple(members), self.choices[:, columns], self.options, self.gold, self.domains, self.grouped)
