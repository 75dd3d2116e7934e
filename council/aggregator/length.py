"""The decision on long answers: claims that enough members make, in place of a vote on whole texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from council.aggregator.claims import Said, split_claims, weigh_claims
from council.aggregator.grouping import Similarity
from council.aggregator.voting import Decision, as_figure, no_quorum, witness_weights
from council.config import AggregatorConfig
from council.types import NOT_KNOWN, Claim, Opinion


def decide_at_length(
    opinions: Sequence[Opinion],
    passages: Mapping[str, str],
    config: AggregatorConfig,
    similarity: Similarity | None = None,
    lineages: Mapping[str, str] | None = None,
) -> tuple[Decision, tuple[Claim, ...]]:
    """The claims that reach `min_agreement`, as an answer; and all claims. `passages`: id -> text.

    A member that says that it does not know makes no claim, and its weight counts against those of the others; so does one
    whose text claims nothing. Members that failed have none; those of one lineage are one witness.
    """
    votes = [o for o in opinions if o.error is None and o.answer is not None]
    weights = witness_weights({o.specialist: o.weight for o in votes}, lineages or {})
    weight, voted = math.fsum(weights.values()), len(weights)
    if voted < config.quorum:
        return Decision("failed", None, no_quorum(opinions, voted, config.quorum), None, (), weight), ()
    said = [Said(o.specialist, o.answer, weights[o.specialist]) for o in votes if o.answer and o.answer != NOT_KNOWN]
    said = [s for s in said if split_claims(s.text)]
    talking = math.fsum(s.weight for s in said)
    share = talking / weight if weight > 0 else 1.0
    if not said or share <= 0:
        return Decision("abstained", None, "The members say that the passages do not tell.", 1.0 - share, (), weight), ()
    wanted = min(config.min_agreement / share, 1.0 + 1e-6)  # of those who talk, so that it is min_agreement of all
    made = weigh_claims(said, passages, similarity, config.claim_similarity, wanted)
    claims = tuple(c.model_copy(update={"support": c.support * share}) for c in made.claims)
    agreement = made.agreement * share if made.agreement is not None else None
    kept = [c for c in claims if c.kept]
    if not kept:
        best = max((c.support for c in claims), default=0.0)
        told = f"the best supported claim has {as_figure(best)} of the weight, and {as_figure(config.min_agreement)} is asked"
        return Decision("abstained", None, f"The members do not say the same: {told}.", best, (), weight, disagrees=True), claims
    told = f"{len(kept)} of {len(claims)} claims are kept, those with a support of {as_figure(config.min_agreement)} or more."
    return Decision("answered", made.answer, told, agreement, (), weight), claims
