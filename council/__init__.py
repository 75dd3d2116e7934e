"""A council of small specialists that answers from your documents, with sources, or abstains.

from council import Council

with Council.from_config("pocket") as council:
    verdict = council.ask("Who discovered the neutron?")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from council.config import CouncilConfig, load_config
from council.errors import CouncilError
from council.types import Confidence, Group, Opinion, Passage, Provenance, Question, Source, Verdict

if TYPE_CHECKING:
    from council.client import CouncilClient
    from council.orchestrator import Council

__version__ = "0.1.0"
__all__ = [
    "Confidence", "Council", "CouncilClient", "CouncilConfig", "CouncilError", "Group", "Opinion", "Passage", "Provenance", "Question",
    "Source", "Verdict", "load_config",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """`Council` and `CouncilClient` are imported when they are first used: that takes seconds that a type needn't."""
    if name == "Council":
        from council.orchestrator import Council

        return Council
    if name == "CouncilClient":
        from council.client import CouncilClient

        return CouncilClient
    raise AttributeError(f"module 'council' has no attribute {name!r}")
