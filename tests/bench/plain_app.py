"""A plain FastAPI application that calls a council's hosts with asyncio.gather: what the service is measured beside."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import ray
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve

from council.serve import APPLICATION
from specialists.prompt_format import Message
from specialists.protocol import GenerationRequest
from tests.conftest import MEMBERS


class Question(BaseModel):
    question: str


def build(count: int) -> FastAPI:
    """`count`: of the hosts, which have the members in turn."""
    app = FastAPI()
    handles = [serve.get_deployment_handle(f"host-script-{i}", APPLICATION) for i in range(count)]
    hosts: dict[str, Any] = {m: handles[i % count] for i, m in enumerate(MEMBERS)}

    @app.post("/ask")
    async def ask(body: Question) -> dict[str, str]:
        """Every member's answer."""
        messages: list[Message] = [{"role": "system", "content": "You read."}, {"role": "user", "content": body.question}]
        said = await asyncio.gather(*(host.generate.remote([GenerationRequest(m, messages)]) for m, host in hosts.items()))
        return {m: made[0].samples[0].text for m, made in zip(hosts, said, strict=True)}

    return app


if __name__ == "__main__":
    ray.init(address=sys.argv[1], logging_level=logging.ERROR, log_to_driver=False)
    uvicorn.run(build(int(sys.argv[3])), host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
