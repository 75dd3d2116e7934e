"""What the HTTP service is configured with: the section `service` of a council's config."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from specialists.config import Strict


class ServiceConfig(Strict):
    """How many questions are worked on, how long and how large they may be, and who may ask."""

    replicas: int = Field(1, ge=1)
    """Of the council itself; its members' hosts have `engines.*.resources`. An embedded store wants one."""
    autoscale_to: int | None = Field(None, ge=1)
    """The most replicas to scale to under load; None: `replicas`, always."""
    num_cpus: float = Field(1.0, ge=0)
    """Of each replica: it embeds questions, searches and votes."""
    concurrent: int = Field(16, ge=1)
    """Questions that a replica works on at once."""
    queue: int = Field(64, ge=0)
    """Questions that wait at a replica; more are refused with 429, and told when to come again."""
    deadline_s: float = Field(120.0, gt=0)
    """The most seconds that a question may take, waiting included. A request may ask for fewer."""
    question_chars: int = Field(8000, ge=1)
    """The longest question, with what it is told of the conversation before."""
    body_bytes: int = Field(1 << 20, ge=1024)
    """The largest request, but for documents."""
    upload_bytes: int = Field(32 << 20, ge=1024)
    """The largest upload of documents."""
    rewriter: str | None = None
    """The specialist that words a question of a conversation so that it stands by itself. None: what came before is put
    beside it."""
    auth: Literal["auto", "required", "off"] = "auto"
    """`auto`: keys are asked for wherever the address is not this machine's own, and where `keys` is set."""
    keys: str | None = None
    """The file that `council keys` writes. None: the user's own."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call the service from a browser, such as https://help.example.org."""
    audit: str | None = None
    """A file that gets a line of JSON for each request: who asked, and what came of it."""
    audit_text: bool = False
    """Whether that line holds the question and the answer."""
    tracing: bool = False
    """Whether OpenTelemetry spans are sent to where OTEL_EXPORTER_OTLP_ENDPOINT says: one a stage and a member."""

    @model_validator(mode="after")
    def _ordered(self) -> ServiceConfig:
        if self.autoscale_to is not None and self.autoscale_to < self.replicas:
            raise ValueError(f"autoscale_to ({self.autoscale_to}) must be at least replicas ({self.replicas})")
        if "*" in self.cors:
            raise ValueError("cors: name the origins; '*' would let any page on the web ask")
        return self
