"""What a specialist and an engine are configured with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

EngineKind = Literal["transformers", "vllm", "openai", "scripted", "replay"]
POCKET: Final = Path(__file__).parent / "pocket"


class Strict(BaseModel):
    """Frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ResourcesConfig(Strict):
    """What Ray Serve gives one replica, and how many there are."""

    num_cpus: float = Field(1.0, ge=0)
    num_gpus: float = Field(0.0, ge=0)
    """May be a fraction: several hosts then share one card."""
    replicas: int = Field(1, ge=1)
    autoscale_to: int | None = Field(None, ge=1)
    """The most replicas to scale to under load; None: `replicas`, always."""

    @model_validator(mode="after")
    def _ordered(self) -> ResourcesConfig:
        if self.autoscale_to is not None and self.autoscale_to < self.replicas:
            raise ValueError(f"autoscale_to ({self.autoscale_to}) must be at least replicas ({self.replicas})")
        return self


class EngineConfig(Strict):
    """One engine: weights loaded once, serving one or many specialists, in one host."""

    name: str
    kind: EngineKind = "transformers"
    model: str | None = None
    """A local folder, `pocket:NAME` for a shipped model, or a hub name; of the openai engine, the server's name of it."""
    parameters_billion: float | None = Field(None, gt=0)
    """How many parameters a model on a hub has, in thousand millions: `council doctor` reckons with it what the model needs."""
    max_context: int = Field(1024, ge=64)
    """Tokens of prompt and answer together."""
    max_batch: int = Field(32, ge=1)
    """Generations in one batch."""
    max_ongoing_requests: int = Field(64, ge=1)
    """Calls in progress at a replica; more wait in the caller (back-pressure)."""
    max_queued_requests: int = Field(1024, ge=1)
    """Calls waiting; more are refused at once."""
    health_check_period_s: float = Field(5.0, gt=0)
    start_timeout_s: float = Field(600.0, gt=0)
    """How long a replica may take to start: with weights to download, longer."""
    trust_remote_code: bool = False
    """Whether code that ships with the weights may run. Leave it off unless you have read that code."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The engine's own options (transformers: device, dtype, threads; vllm: any engine argument of vLLM's, by its name;
    openai: base_url, api_key_env, ...; scripted: answers, delay_s, fail; replay: answers, names)."""
    resources: ResourcesConfig = ResourcesConfig()

    @model_validator(mode="after")
    def _fits_its_cards(self) -> EngineConfig:
        """Shares of a card's memory add up as the fractions of the card do, which Ray sees to."""
        if self.kind != "vllm":
            return self
        gpus, share = self.resources.num_gpus, self.options.get("gpu_memory_utilization")
        parallel = self.options.get("tensor_parallel_size", 1)
        if gpus > 0 and parallel != 1 and gpus != parallel:
            raise ValueError(f"options.tensor_parallel_size {parallel} wants resources.num_gpus {parallel}, not {gpus:g}")
        if 1 < gpus != parallel:
            raise ValueError(f"resources.num_gpus {gpus:g} wants options.tensor_parallel_size {gpus:g}: a replica would leave cards unused")
        if 0 < gpus < 1 and share is not None and share > gpus:
            raise ValueError(
                f"options.gpu_memory_utilization {share} is more than its share of the card, resources.num_gpus {gpus:g}; "
                "lower it, so that the hosts of one card fit together"
            )
        return self


class SpecialistConfig(Strict):
    """One member: weights, a domain, a persona, decoding defaults."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    engine: str
    domain: str
    adapter: str | None = None
    """A LoRA adapter on the engine's model: a local folder, `pocket:NAME` or (vllm) a hub name; of the openai engine, the
    server's name of it. None: the model itself."""
    persona: str = ""
    description: str
    """What it knows, in a sentence: the router compares questions with it."""
    examples: tuple[str, ...] = ()
    """Questions of its domain, for the router."""
    max_tokens: int = Field(32, ge=1)
    temperature: float = Field(0.0, ge=0)
    base_model: str = ""
    """The model it descends from; members of one lineage may err together."""
    training_data: str = ""
    """What it was tuned on."""
    cost: float = Field(1.0, gt=0)
    """Of one answer, in any unit that all members share: the policy `cheapest` asks in this order."""
    lineage: str = ""
    """Members that name the same lineage count as one witness: together they have the weight of the heaviest of them."""


def resolve_weights(name: str) -> str:
    """`pocket:NAME` as the path of the shipped model; a path or a hub name as it is."""
    return str(POCKET / name.removeprefix("pocket:")) if name.startswith("pocket:") else name
