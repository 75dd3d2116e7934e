"""OpenTelemetry spans, if they are wanted: one a question, one a stage, one a member."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from council.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Value = str | int | float | bool
NAME: Final = "council"


class _Tracing:
    """The tracer of this process; None: nothing is traced."""

    tracer: Tracer | None = None


def start(service: str) -> None:
    """Send spans to where OTEL_EXPORTER_OTLP_ENDPOINT says, else to this machine's port 4318. Raises ConfigError without the
    packages."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as exc:
        raise ConfigError("service.tracing needs OpenTelemetry: pip install 'council-of-specialists[tracing]'") from exc
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider.get_tracer(NAME))


def use(tracer: Tracer | None) -> None:
    """Trace with this tracer from now on; None: no longer."""
    _Tracing.tracer = tracer


@contextmanager
def span(name: str, **attributes: Value) -> Iterator[None]:
    """A span around what is done; it becomes the parent of those within."""
    if _Tracing.tracer is None:
        yield
        return
    with _Tracing.tracer.start_as_current_span(name, attributes=attributes):
        yield


def note(name: str, seconds: float, **attributes: Value) -> None:
    """A span of what has just ended and took so long, within the current one."""
    if _Tracing.tracer is None:
        return
    ended = time.time_ns()
    made = _Tracing.tracer.start_span(name, start_time=ended - int(seconds * 1e9), attributes=attributes)
    made.end(ended)
