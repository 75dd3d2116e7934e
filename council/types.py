"""What goes in and what comes out: Question, Passage, Opinion, Verdict. Their JSON is what users see."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["answered", "abstained", "failed"]
RoundKind = Literal["members", "samples", "orders"]
Origin = Literal["human", "machine", "council", "unknown"]
"""Who wrote a text: a person, a model, this system itself, or it is not known."""
GENERATED: tuple[Origin, ...] = ("machine", "council")
"""The origins of text that no person wrote."""
Grounds = Literal["one passage", "the context", "the members"]

NOT_KNOWN = "not known"
"""The answer of an opinion, and of its group, that the passages do not tell."""


class Frozen(BaseModel):
    """A value: it can't be changed, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Question(Frozen):
    """A question, and which documents may be used for it."""

    text: str
    queries: tuple[str, ...] = ()
    """Other words for it, which passages are searched with besides; members do not see them."""
    domain: str | None = None
    """Only passages of this domain are retrieved; None: of all domains."""
    tenant: str = "default"
    """Only passages of this tenant are retrieved."""


class Provenance(Frozen):
    """Where a passage comes from. Text that a model wrote never passes for a person's. What is not known is blank."""

    origin: Origin = "unknown"
    source: str = ""
    """Where a reader can check: a file, a book, an address."""
    document: str = ""
    """The content hash of the whole document that the passage was cut from."""
    author: str = ""
    date: str = ""
    """As the document has it; where it is ISO 8601 (its beginning is enough), retrieval can prefer what is recent."""
    licence: str = ""
    language: str = ""
    """ISO 639-1, by the document's word or as recognised."""
    details: dict[str, Any] = Field(default_factory=dict)
    """What else the document's record said of itself."""


class Passage(Frozen):
    """A piece of a document. `id` is a hash of its content; `score` is the retrieval's, larger is better."""

    id: str
    title: str
    text: str
    domain: str | None = None
    score: float = 0.0
    likeness: float | None = None
    """The cosine of its vector and the question's; None: it was not searched for."""
    provenance: Provenance = Provenance()


class LeftOut(Frozen):
    """A passage that was found and not shown to the members, and why."""

    id: str
    title: str
    provenance: Provenance
    why: str


class Example(Frozen):
    """A worked example: how a question is to be answered, or is not."""

    id: str = ""
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    right: bool
    why: str = ""
    domain: str | None = None


class Opinion(Frozen):
    """What one specialist said, or the error that it failed with; an opinion with an error is never a vote."""

    specialist: str
    answer: str | None = None
    """The short answer read from `text`; 'not known' where it says that the passages do not tell."""
    text: str = ""
    weight: float
    """What it votes with: the routing weight, less where it answered otherwise to the passages in another order."""
    latency_s: float = 0.0
    queued_s: float | None = None
    """Of the latency, what passed before the engine began; None, here and below: the engine doesn't tell."""
    first_token_s: float | None = None
    """From the request's arrival in the engine to its first token."""
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    """Prompt tokens that the engine had computed before, for another prompt."""
    output_tokens: int = 0
    passages: tuple[str, ...] = ()
    """The ids of the passages that it was shown, in its order."""
    passages_trimmed: tuple[str, ...] = ()
    """Those of which it saw only the first sentences, for want of room."""
    passages_dropped: int = 0
    """How many retrieved passages did not fit into its token budget."""
    round: int = 0
    """The round of asking that it was given in: its place in the verdict's `rounds`."""
    error: str | None = None


class Group(Frozen):
    """Members whose answers mean the same. `support` is their share of the weight of all votes cast."""

    answer: str
    support: float
    members: tuple[str, ...]


class Likelihood(Frozen):
    """How likely a member finds an answer: the mean log-probability (natural) of its tokens after the member's prompt, with
    the passages and without; None: not measured."""

    specialist: str
    answer: str
    with_passages: float
    without_passages: float | None = None


class Candidate(Frozen):
    """An answer that the members judged. `support`, in [0, 1], is its share of their weight, divided by likelihood."""

    answer: str
    support: float
    by_passages: float | None = None
    """How much likelier the passages make it, in nats a token, as the members' mean; below 0: it was believed before, and the
    passages speak against it."""
    likelihoods: tuple[Likelihood, ...] = ()


class Claim(Frozen):
    """A sentence of the council. `support` is the share of the weight of all members that said anything."""

    text: str
    support: float = Field(ge=0, le=1)
    members: tuple[str, ...]
    passages: tuple[str, ...] = ()
    """The ids of the passages that say it."""
    kept: bool
    """Whether the answer has it: it is supported enough, and no claim that contradicts it has as much support."""


class Confidence(Frozen):
    """A calibrated probability that the answer is right, and what it was calibrated on."""

    value: float
    calibrated_on: str


class Source(Frozen):
    """A passage that the members were shown."""

    id: str
    title: str
    text: str
    score: float
    likeness: float | None = None
    provenance: Provenance


class Grounding(Frozen):
    """What the agreement rests on, found out by asking again with less to read.

    `one passage`: without it the members no longer say so. `the members`: they say so without any passage. `the context`:
    neither; no single passage is needed, and no passages at all is not enough.
    """

    rests_on: Grounds
    passage: str
    """The id of the passage that was left out: the best one in which the answer stands, else the best."""
    without_it: str | None = None
    """What the members say without it; None, here and below: nothing that agrees enough."""
    without_any: str | None = None
    contradicted: bool = False
    """Without that passage they agree on something else, which the other passages tell: the passages contradict one another."""
    opinions: tuple[Opinion, ...] = ()
    """What they said then, without that passage first."""


class Round(Frozen):
    """One round of asking: who was asked at the same time, and how the vote stood after it.

    `members` had not been asked before; `samples` are further answers of those who had, drawn at temperature, and `orders`
    their answers to the passages in another order.
    """

    kind: RoundKind
    asked: tuple[str, ...]
    answer: str | None = None
    """The leading answer after it; None: nobody had voted."""
    agreement: float | None = None


class Verdict(Frozen):
    """What the council says: an answer with its sources, or an abstention with who thought what."""

    status: Status
    answer: str | None = None
    reason: str
    agreement: float | None = None
    """The winning group's support, in [0, 1]; None when nobody voted. It is not a probability. Where some were not asked, for
    they could not change the outcome: the least that it would have been with their votes."""
    confidence: Confidence | None = None
    groups: tuple[Group, ...] = ()
    opinions: tuple[Opinion, ...] = ()
    claims: tuple[Claim, ...] = ()
    """Where answers are long: what the members said, sentence by sentence, kept or dropped."""
    candidates: tuple[Candidate, ...] = ()
    """The answers as the members judged them by likelihood, where that is configured."""
    sources: tuple[Source, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    """What retrieval found and did not show: other passages say the same, it is too little like the question, or machine text
    beyond its share."""
    examples: tuple[Example, ...] = ()
    """The worked examples that the members were shown."""
    grounding: Grounding | None = None
    """What the agreement rests on, where that was checked."""
    domain: str | None = None
    """What the question was taken to be about: its own domain, else that of the specialist whom routing prefers."""
    warnings: tuple[str, ...] = ()
    """What should make the reader wary of this verdict and others like it, such as drift since the calibration."""
    rounds: tuple[Round, ...] = ()
    unasked: tuple[str, ...] = ()
    """Members that the question was routed to, and that were not asked: the outcome was settled, or the budget spent."""
    calls: int = 0
    """How many generations were asked of members."""
    timings_s: dict[str, float] = Field(default_factory=dict)
    """Seconds spent: retrieve, route, generate, vote, total."""
