"""Requests made up from a service's OpenAPI document, and whether its answers are as the document says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from council.routes.envelope import HEADERS

LATE = [*(f"{hundred}xx" for hundred in (2, 3, 4)), "504"]
"""A question may be given less time than anything takes; of the 500s that is the one a request can ask for."""
REFUSED = ["400", "401", "403", "404", "405", "413", "431", "429", "504"]
BEYOND_SCHEMA = ("ask_council", "create_chat_completion", "add_documents")
"""What these take hangs on more than their schemas can say: members' names, whose turn the last is, what is in a file."""


@dataclass
class Told:
    """What came of the requests of a run."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Requests that were answered."""
        return sum(self.statuses.values())


def conformance(url: str, key: str | None, examples: int, uploads: int, coverage: bool = True) -> Told:
    """Ask all operations, `examples` times each at random (`uploads` times for documents), and see whether the answers conform."""
    unbounded = [{"include-operation-id": name, "checks": {"positive_data_acceptance": {"enabled": False}}} for name in BEYOND_SCHEMA]
    unbounded[-1]["generation"] = {"max-examples": uploads}
    config = SchemathesisConfig.from_dict({
        "seed": 11, "base-url": url, "headers": {"Authorization": f"Bearer {key}"} if key else {}, "continue-on-failure": True,
        "generation": {"max-examples": examples, "database": "none"},
        "checks": {"not_a_server_error": {"expected-statuses": LATE}, "negative_data_rejection": {"expected-statuses": REFUSED}},
        "phases": {"stateful": {"enabled": False}, "coverage": {"enabled": coverage}}, "operations": unbounded,
    })  # fmt: skip
    told = Told()
    for happened in from_schema(schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)).execute():
        if isinstance(happened, events.NonFatalError | events.FatalError):
            told.faults.append(str(happened))
        if isinstance(happened, events.ScenarioFinished):
            _note(told, happened.label or "", happened.recorder)
    return told


def _note(told: Told, operation: str, recorder: Any) -> None:
    for id, sent in recorder.interactions.items():
        if sent.response is None:
            told.faults.append(f"{operation}: no answer to {sent.request.body!r:.500}")
            continue
        status, headers = sent.response.status_code, sent.response.headers
        told.statuses[operation, status] += 1
        if "x-request-id" not in headers or any(name.lower() not in headers for name in HEADERS):
            told.faults.append(f"{operation}: {status} without the headers of every answer")
        failed = [node.failure_info.failure for node in recorder.checks.get(id, ()) if node.failure_info is not None]
        told.faults += [f"{operation}: {f.title}: {f.message[:500]}; sent {sent.request.body!r:.900}" for f in failed]
