"""How one question is to be answered, where its asker says other than the config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from council.config import AskingPolicy, CouncilConfig
from council.errors import ConfigError


@dataclass(frozen=True)
class Options:
    """None, and the defaults: as the config says."""

    retrieval: bool = True
    specialists: tuple[str, ...] | None = None
    """Ask only these."""
    check: bool | None = None
    """Whether it is found out what the agreement rests on."""
    policy: AskingPolicy | None = None
    within_s: float | None = None
    """Seconds until there must be a verdict: members that have not answered by then are cut off, and the others vote."""
    alone: bool = False
    """One member's answer by itself: no quorum, and nobody to agree with."""
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the council is asked as it was calibrated: with documents, all that routing chooses, decoding as configured."""
        decoding = (self.max_tokens, self.temperature, self.seed) == (None, None, None) and not self.stop
        return self.retrieval and self.specialists is None and not self.alone and decoding

    def applied(self, config: CouncilConfig) -> CouncilConfig:
        """The config for this question."""
        wanted: dict[str, object] = {}
        if self.policy is not None:
            wanted["asking"] = config.asking.model_copy(update={"policy": self.policy})
        if self.alone:
            wanted["asking"] = config.asking.model_copy(update={"policy": "all", "widen": (), "check_context": 0.0})
            wanted["aggregator"] = config.aggregator.model_copy(update={"quorum": 1, "scoring": "off"})
        decoding = {key: value for key in ("max_tokens", "temperature") if (value := getattr(self, key)) is not None}
        if decoding:
            wanted["specialists"] = tuple(s.model_copy(update=decoding) for s in config.specialists)
        return config.model_copy(update=wanted) if wanted else config


def check_names(config: CouncilConfig, specialists: Sequence[str] | None) -> None:
    """Raises ConfigError for a name that no member has."""
    known = [s.name for s in config.specialists]
    for name in specialists or ():
        if name not in known:
            raise ConfigError(f"no specialist {name!r}; there are: {', '.join(known)}")
