"""The HTTP application around a service: its routes, its errors, what surrounds each request. It knows no Ray."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException

from council import __version__
from council.errors import CouncilError
from council.routes import chat, documents, operations, page, questions
from council.routes.envelope import Envelope
from council.routes.refusals import Refusal, answer
from council.service import Service


class Application(FastAPI):
    """FastAPI, with an OpenAPI document that says what this service does: faults of a request are 400, never 422, and keys are
    spoken of where they are asked for."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schema = super().openapi()
            for path in schema["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
                    if self.state.service.keys is None:
                        operation.pop("security", None)
                        for status in ("401", "403"):
                            operation["responses"].pop(status, None)
            for unused in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(unused, None)
            if self.state.service.keys is None:
                schema["components"].pop("securitySchemes", None)
        return super().openapi()


def build_app(service: Service, labelled: bool = True) -> FastAPI:
    """The application; the service and its council are started already. `labelled`: answers get the request's id here.

    Without a key, where keys are asked for, anybody sees the page and its assets, /health, /ready, /metrics and /openapi.json.
    """
    app = Application(
        title="Council of Specialists", version=__version__, docs_url=None, redoc_url=None,
        summary="Several small specialists answer from your documents and vote; where they don't agree, the council abstains.",
    )  # fmt: skip
    app.state.service = service
    for kind in (Refusal, CouncilError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
    for part in (questions, chat, documents, operations, page):
        app.include_router(part.router)
    if service.settings.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(service.settings.cors), allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"], expose_headers=["X-Request-Id", "Retry-After"],
        )  # fmt: skip
    app.add_middleware(Envelope, service=service, labelled=labelled)
    return app
