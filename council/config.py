"""YAML -> CouncilConfig. Unknown keys are refused, and the bad key is named."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from council.errors import ConfigError
from council.service_config import ServiceConfig
from specialists.config import EngineConfig, SpecialistConfig
from specialists.prompt_format import Answers, Layout


class Strict(BaseModel):
    """Frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreConfig(Strict):
    """Where passages are kept."""

    kind: Literal["edge", "server"] = "edge"
    path: str | None = None
    """Of the embedded store: a folder of its own. None: the preset's store in the user's cache folder, filled with the
    preset's library on first use. A folder that is set starts empty."""
    url: str = "http://localhost:6333"
    """Of a Qdrant server."""
    api_key_env: str | None = None
    """The environment variable that holds the server's key."""
    collection: str = Field("council", pattern=r"^[A-Za-z0-9_-]+$")
    """The alias on a server; it names the collection that is of the embedder at hand."""
    read_url: str | None = None
    """Of a server that is read in place of `url`: a replica."""
    read_only: bool = False
    """Whether writes are refused here, before anything is sent."""
    quantization: Literal["none", "scalar", "binary"] = "none"
    """Of the dense vectors on a server: a quarter, or a thirty-second, of their memory; the best are rescored with whole ones."""


class EmbedderConfig(Strict):
    """The sentence-transformers model that dense vectors come from."""

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    device: str = "cpu"
    batch_size: int = Field(64, ge=1)
    cache: bool = True
    """Whether vectors of passages are kept beside the store by the hash of their text: a changed document is embedded where it
    has changed."""


class CurationConfig(Strict):
    """What is held back from the members when documents are indexed; `council documents list --held` shows it."""

    duplicates: bool = True
    """Passages that say what one of another document says, word for word or nearly."""
    quality: bool = True
    """Boilerplate, gibberish, encoded data and the like."""


class OriginsConfig(Strict):
    """How much text that models wrote the members may be shown (Alemohammad et al. 2023: models that feed on their own output
    decay)."""

    machine: float = Field(0.5, ge=0, le=1)
    """The most of the `top_k` places that machine text takes, what the council said included."""
    council: float = Field(0.0, ge=0, le=1)
    """The most of them that what the council itself said takes."""
    preference: float = Field(0.1, ge=0, le=1)
    """The part of its score that a passage loses which a model wrote."""


class RerankConfig(Strict):
    """A cross-encoder, which reads the question and a passage together."""

    model: str
    """A folder, or the name on the hub of one that was fetched, such as cross-encoder/ms-marco-MiniLM-L6-v2."""
    device: str = "cpu"
    batch_size: int = Field(32, ge=1)
    candidates: int = Field(20, ge=1)
    """How many of the best it puts into another order."""


class RecencyConfig(Strict):
    """A preference for what is recent. Passages without a date count as one half-life old."""

    half_life_days: float = Field(365.0, gt=0)
    weight: float = Field(0.3, gt=0, le=1)
    """The part of its score that an infinitely old passage loses."""


class RetrievalConfig(Strict):
    """Which passages the members share."""

    top_k: int = Field(4, ge=1)
    search: Literal["hybrid", "dense", "sparse"] = "hybrid"
    prefetch: int = Field(50, ge=1)
    """Candidates from each of the dense and the sparse query, before fusion."""
    expand: bool = False
    """Whether each clause of a question that has several is searched for as well."""
    min_likeness: float = Field(0.0, ge=0, le=1)
    """The cosine with the question below which a passage is not shown: no context is better than noise. At 0.3 one question in 70
    loses all passages that answer it, and up to a third of questions that have nothing to do with the documents get none
    (tests.bench.retrieval; other embedders have other cosines). 0: any is shown."""
    routed: Literal["off", "prefer", "only"] = "off"
    """What passages of the domain of the specialist whom routing prefers are: no better, better, or the only ones."""
    recency: RecencyConfig | None = None
    rerank: RerankConfig | None = None
    diversity: float = Field(0.0, ge=0, lt=1)
    """How much likeness to better passages counts against a passage (maximal marginal relevance); 0: not at all."""
    neighbours: int = Field(0, ge=0)
    """How many of the passages before and after it in its document are joined to one that was found."""
    origins: OriginsConfig = OriginsConfig()
    examples: int = Field(2, ge=0)
    """How many worked examples members are shown, of those that `council examples add` stored."""
    chunk_tokens: int = Field(96, ge=16)
    """Passage length, in tokens of the embedder."""
    overlap_tokens: int = Field(16, ge=0)
    library: str | None = None
    """Documents that fill the preset's own store: a folder; relative to the preset's file."""
    on_failure: Literal["abstain", "answer_without"] = "abstain"
    """What the council does while the store can't be read: abstain, or ask its members from memory; the verdict says so."""
    curation: CurationConfig = CurationConfig()
    store: StoreConfig = StoreConfig()
    embedder: EmbedderConfig = EmbedderConfig()

    @model_validator(mode="after")
    def _overlap_fits(self) -> RetrievalConfig:
        if self.overlap_tokens * 2 > self.chunk_tokens:
            raise ValueError(f"overlap_tokens ({self.overlap_tokens}) must be at most half of chunk_tokens ({self.chunk_tokens})")
        return self


class RoutingConfig(Strict):
    """Who is asked, and with which weight."""

    policy: Literal["all", "top_k", "threshold"] = "all"
    top_k: int = Field(3, ge=1)
    """For `top_k`: how many members."""
    threshold: float = Field(0.1, ge=0, le=1)
    """For `threshold`: the least weight; the best member is always asked."""
    temperature: float = Field(0.5, gt=0)
    """Of the softmax over cosines: small prefers the nearest member, large weighs all alike."""


class PromptingConfig(Strict):
    """How passages are shown."""

    layout: Layout = "persona_first"
    """`passages_first` lets members of the same weights share the passages' part of the engine's prefix cache."""
    rotate: bool = True
    """Whether each member sees the passages in an order of its own."""
    ends_from: int = Field(7, ge=3)
    """From this many passages on, the best stand at the ends of the context, which models read better than its middle (Liu et
    al. 2023); where `rotate` is on, members differ in what stands first."""
    quoting: Literal["fenced", "bare"] = "fenced"
    """`fenced`: each passage stands in marks of its own, and the members are told that it is quoted material. `bare`: as the
    pocket models were trained, a number, a title and a line."""
    example_share: float = Field(0.25, gt=0, lt=1)
    """The most of a member's token budget that worked examples take."""
    answers: Answers = "short"
    """`short`: a few words, which are voted on. `long`: sentences; the council's answer keeps those that enough members say."""

    @model_validator(mode="after")
    def _either(self) -> PromptingConfig:
        if self.layout == "passages_first" and self.rotate:
            raise ValueError(
                "layout passages_first shares a prefix only if members read the passages in one order: set rotate to false too"
            )
        return self


AskingPolicy = Literal["all", "escalate", "cheapest"]


class AskingConfig(Strict):
    """How many members are asked, and what is done where they disagree.

    `all`: every member that the question is routed to, at once. `escalate`: in order of weight, and no more once the rest
    could not change the outcome; no call is made that asking one after another would not make. `cheapest`: in order of
    cost, until the votes that were cast agree enough.
    """

    policy: AskingPolicy = "all"
    caution: float = Field(1.0, ge=0, le=1)
    """Of `escalate`: the part of the weight still to come that is reckoned against the leading answer. At 1 the outcome is
    that of asking all; below, fewer are asked and it seldom differs (`council eval replay` chooses it)."""
    widen: tuple[Literal["members", "samples", "orders"], ...] = ()
    """What is tried, in this order, where the members do not agree enough: those that routing left out; further samples of
    those asked; the same members with the passages in other orders. Then the council abstains."""
    samples: int = Field(2, ge=1)
    """For `samples`: how many more of each member, at most."""
    temperature: float = Field(0.7, gt=0)
    """Of these samples."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Sampling ends when the leading answer is the majority with this probability."""
    orders: int = Field(1, ge=1)
    """For `orders`: how many more of each member, at most."""
    each_in_orders: int = Field(1, ge=1)
    """In how many orders of the passages each member is asked at once. It votes with its weight times the share of its leading
    answer: who answers by the order of what it reads counts for less."""
    check_context: float = Field(0.0, ge=0, le=1)
    """The share of answered questions of which it is found out what the agreement rests on, at two more calls a member."""
    on_contradiction: Literal["report", "abstain"] = "abstain"
    """What is done where that check finds that passages contradict one another."""
    max_calls: int | None = Field(None, ge=1)
    """Generations a question may cost; None, here and below: no limit."""
    max_tokens: int | None = Field(None, ge=1)
    """Tokens of prompts and answers that a question may cost, each answer reckoned at its longest before it is asked for."""
    max_seconds: float | None = Field(None, gt=0)
    """Seconds that the members have for a question together; what is in flight then is cancelled."""

    @property
    def is_exact(self) -> bool:
        """Whether the outcome is that of asking all who are routed to, however few are asked."""
        limits = (self.max_calls, self.max_tokens, self.max_seconds)
        exhaustive = self.policy == "all" or (self.policy == "escalate" and self.caution == 1.0)
        checked = self.each_in_orders == 1 and (self.check_context == 0 or self.on_contradiction == "report")
        return exhaustive and checked and not self.widen and limits == (None, None, None)


class EntailmentConfig(Strict):
    """A model of natural language inference, which tells whether two answers to a question mean the same."""

    model: str
    """A folder, or the name on the hub of a cross-encoder that was fetched, such as cross-encoder/nli-deberta-v3-small."""
    device: str = "cpu"
    batch_size: int = Field(32, ge=1)
    threshold: float = Field(0.5, gt=0, le=1)
    """The probability, in both directions, from which answers are the same."""


class AggregatorConfig(Strict):
    """When agreement is enough."""

    min_agreement: float = Field(0.6, ge=0, le=1)
    """The least support of the winning group for an answer."""
    calibration: str | None = None
    """A file that `council calibrate` wrote; in a config's file, relative to that file. Verdicts then carry a confidence, and
    where it holds a promise, its threshold takes the place of min_agreement, and fitted weights that of routing's. All of this
    only as long as the council is the one that was calibrated."""
    scoring: Literal["off", "report", "decide"] = "off"
    """Whether every member also judges every answer by its likelihood: `report` shows it in the verdict, and under `decide` it
    takes the place of the vote. It costs two scorings a member and answer, of prompts that are mostly read already."""
    quorum: int = Field(1, ge=1)
    """The least number of votes; below it the verdict is `failed`."""
    similarity: float = Field(0.9, ge=0, le=1)
    """Cosine from which two answers that no exact rule joins or parts are the same."""
    claim_similarity: float = Field(0.85, ge=0, le=1)
    """The same of two sentences of long answers."""
    entailment: EntailmentConfig | None = None
    """Where it is set, entailment in both directions takes the place of that cosine."""

    @property
    def alike_from(self) -> float:
        """The likeness from which two answers are the same, of the kind that is configured."""
        return self.entailment.threshold if self.entailment is not None else self.similarity


class CouncilConfig(Strict):
    """A whole council."""

    name: str = "council"
    engines: tuple[EngineConfig, ...] = Field(min_length=1)
    specialists: tuple[SpecialistConfig, ...] = Field(min_length=1)
    retrieval: RetrievalConfig = RetrievalConfig()
    routing: RoutingConfig = RoutingConfig()
    prompting: PromptingConfig = PromptingConfig()
    asking: AskingConfig = AskingConfig()
    aggregator: AggregatorConfig = AggregatorConfig()
    service: ServiceConfig = ServiceConfig()
    deadline_s: float = Field(60.0, gt=0)
    """Seconds a member has for its opinion; later ones fail with 'late'."""
    ray_address: str | None = None
    """The Ray cluster to join; None: the one that RAY_ADDRESS names, else one of its own on this machine."""

    @model_validator(mode="after")
    def _names_fit(self) -> CouncilConfig:
        engines = [e.name for e in self.engines]
        members = [s.name for s in self.specialists]
        for what, names in (("engines", engines), ("specialists", members)):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"{what}: the name {twice[0]!r} is given twice")
        if "council" in members:
            raise ValueError("specialists: 'council' is the name of all of them together: choose another")
        for s in self.specialists:
            if s.engine not in engines:
                raise ValueError(f"specialists: {s.name!r} names the engine {s.engine!r}; there are: {', '.join(engines)}")
        contexts = {e.name: e.max_context for e in self.engines}
        for s in self.specialists:
            if s.max_tokens >= contexts[s.engine]:
                raise ValueError(
                    f"specialists: {s.name!r}: max_tokens ({s.max_tokens}) leaves no room in max_context ({contexts[s.engine]})"
                )
        if self.routing.policy == "top_k" and self.aggregator.quorum > self.routing.top_k:
            raise ValueError(f"aggregator.quorum: {self.aggregator.quorum} votes can't come from routing.top_k: {self.routing.top_k}")
        if self.prompting.answers == "long":
            rules, asking = self.aggregator, self.asking
            votes = asking.policy != "all" or asking.widen or asking.check_context or asking.each_in_orders > 1
            if votes or rules.scoring != "off" or rules.calibration or rules.entailment:
                raise ValueError(
                    "prompting.answers: long has no vote on whole texts: leave asking (policy, widen, check_context, each_in_orders) and "
                    "aggregator (scoring, calibration, entailment) as they are"
                )
        if self.aggregator.scoring == "decide" and self.asking.policy != "all":
            raise ValueError("aggregator.scoring: decide wants asking.policy all: when to stop asking is told by votes")
        if self.asking.max_calls is not None and self.aggregator.quorum > self.asking.max_calls:
            raise ValueError(f"aggregator.quorum: {self.aggregator.quorum} votes can't come from asking.max_calls: {self.asking.max_calls}")
        if self.service.rewriter is not None and self.service.rewriter not in members:
            raise ValueError(f"service.rewriter: there is no specialist {self.service.rewriter!r}; there are: {', '.join(members)}")
        if self.retrieval.store.kind == "edge" and max(self.service.replicas, self.service.autoscale_to or 1) > 1:
            raise ValueError(
                "service.replicas: an embedded store is open in one process: set it to 1, or retrieval.store to a Qdrant server "
                "(kind: server, url: ...)"
            )
        if self.aggregator.quorum > len(members):
            raise ValueError(f"aggregator.quorum: {self.aggregator.quorum} votes can't come from {len(members)} specialists")
        return self


def presets() -> dict[str, Path]:
    """The shipped presets: name -> file."""
    folder = Path(str(files("council"))) / "configs"
    folder = folder if folder.is_dir() else Path(__file__).parent.parent / "configs"
    return {p.stem: p for p in sorted(folder.glob("*.yaml"))}


def load_config(config: str | os.PathLike[str] | CouncilConfig = "pocket", overrides: Mapping[str, Any] | None = None) -> CouncilConfig:
    """A preset by name, a YAML file by path, or a config as it is; with `overrides` by dotted key on top.

    List items are named by their number or by their `name`: `specialists.law.max_tokens`.
    Raises ConfigError with the bad key.
    """
    if isinstance(config, CouncilConfig):
        origin, tree = "config", config.model_dump(mode="json")
    else:
        path = presets().get(str(config), Path(config))
        origin, tree = str(config), _read(path)
    for key, value in (overrides or {}).items():
        _override(tree, key, value)
    try:
        return CouncilConfig.model_validate(tree)
    except ValidationError as exc:
        raise ConfigError(f"{origin}: {_first_fault(exc)}") from exc


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The keys of a file, on top of those of the preset or file that its key `extends` names; `above` leads to it."""
    if not path.is_file():
        raise ConfigError(f"no config {str(path)!r}: give a YAML file, or one of the presets: {', '.join(presets())}")
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} can't be read: {' '.join(str(exc).split())}") from exc
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds no mapping of keys")
    for section, key in (("retrieval", "library"), ("aggregator", "calibration")):
        named = tree[section].get(key) if isinstance(tree.get(section), dict) else None
        if isinstance(named, str):
            tree[section][key] = str((path.parent / Path(named).expanduser()).resolve())
    base = tree.pop("extends", None)
    if base is None:
        return tree
    if path.resolve() in above:
        raise ConfigError(f"{path}: extends: the files extend one another in a circle")
    return _merged(_read(presets().get(str(base), path.parent / str(base)), (*above, path.resolve())), tree)


def _merged(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`base` with `top` laid over it: mappings key by key, anything else replaced."""
    both = {k: _merged(base[k], v) if isinstance(base.get(k), dict) and isinstance(v, dict) else v for k, v in top.items()}
    return base | both


def _override(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    node: Any = tree
    for part in parents:
        if isinstance(node, list):
            named = [x for i, x in enumerate(node) if part == str(i) or (isinstance(x, dict) and x.get("name") == part)]
            if not named:
                raise ConfigError(f"unknown key {key!r}: there is no {part!r} in that list")
            node = named[0]
        elif isinstance(node, dict):
            node = node.setdefault(part, {})
        if not isinstance(node, dict | list):
            raise ConfigError(f"unknown key {key!r}: {part!r} holds no further keys")
    if isinstance(node, list):
        raise ConfigError(f"unknown key {key!r}: name one item of that list, then its key")
    node[last] = value


def _first_fault(exc: ValidationError) -> str:
    fault = exc.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"unknown key {where!r}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def parse_settings(settings: Sequence[str] | None) -> dict[str, Any]:
    """Overrides by dotted key from texts `KEY=VALUE`, values read as YAML. Raises ConfigError."""
    chosen: dict[str, Any] = {}
    for setting in settings or ():
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {setting!r}: write it as KEY=VALUE")
        try:
            chosen[key] = yaml.safe_load(value)
        except yaml.YAMLError as exc:
            raise ConfigError(f"--set {key}: {value!r} is no YAML value") from exc
    return chosen


def fingerprint(config: CouncilConfig) -> str:
    """Of all that an answer and its agreement depend on: weights, prompts, retrieval, routing and grouping; not of where
    things are kept, which documents there are, how many replicas run, or from which agreement on the council answers.

    An exact policy of asking (AskingConfig.is_exact) gives the outcomes of asking all, and counts as that one; under any other
    who is asked depends on that agreement, which then belongs to it.
    """
    tree = config.model_dump(mode="json")
    rules = tree["aggregator"]
    if rules["scoring"] == "report":
        rules["scoring"] = "off"
    if tree["prompting"]["answers"] == "short":
        del rules["claim_similarity"]
    if rules["entailment"] is not None:
        rules["entailment"] = [rules["entailment"][key] for key in ("model", "threshold")]
    costs = [s.pop("cost") for s in tree["specialists"]]
    for specialist in tree["specialists"]:
        del specialist["training_data"]
    if not config.asking.is_exact:
        rules["asking"] = [tree["asking"], costs, config.aggregator.min_agreement]
    for section, keys in (("retrieval", ("store", "library", "on_failure")), ("aggregator", ("min_agreement", "calibration"))):
        for key in keys:
            del tree[section][key]
    tree["retrieval"]["embedder"] = tree["retrieval"]["embedder"]["model"]
    kept = {key: tree[key] for key in ("specialists", "retrieval", "routing", "prompting", "aggregator")}
    engines = [{key: e[key] for key in ("name", "kind", "model", "max_context", "options")} for e in tree["engines"]]
    return hashlib.sha256(json.dumps([kept, engines], sort_keys=True).encode()).hexdigest()[:16]
