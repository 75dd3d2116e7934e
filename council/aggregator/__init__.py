"""From what members said to what the council says: pure functions, no input or output, no model."""

from council.aggregator.calibration import Calibration, Calibrator, Promise, Weights
from council.aggregator.claims import split_claims
from council.aggregator.drift import Drift, Expected
from council.aggregator.extraction import extract_answer, is_refusal, without_thoughts
from council.aggregator.grouping import Similarity, Vote, VoteGroup, group_answers
from council.aggregator.length import decide_at_length
from council.aggregator.likelihood import decide_by_likelihood, weigh_candidates
from council.aggregator.normalise import normalise
from council.aggregator.quantities import Quantity, parse_date, parse_quantity
from council.aggregator.stopping import fewest_to_settle, is_settled, majority_is_likely
from council.aggregator.voting import Decision, decide, witness_weights

__all__ = [
    "Calibration",
    "Calibrator",
    "Decision",
    "Drift",
    "Expected",
    "Promise",
    "Quantity",
    "Similarity",
    "Vote",
    "VoteGroup",
    "Weights",
    "decide",
    "decide_at_length",
    "decide_by_likelihood",
    "extract_answer",
    "fewest_to_settle",
    "group_answers",
    "is_refusal",
    "is_settled",
    "majority_is_likely",
    "normalise",
    "parse_date",
    "parse_quantity",
    "split_claims",
    "weigh_candidates",
    "without_thoughts",
    "witness_weights",
]
