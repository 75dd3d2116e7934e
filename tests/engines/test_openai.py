"""The official client against a real HTTP server on loopback that can be told to fail. Against vLLM's own: test_vllm.py."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from hypothesis import given
from hypothesis import strategies as st

from specialists.config import EngineConfig, SpecialistConfig
from specialists.engines import build_engine
from specialists.engines.openai import OpenAIEngine
from specialists.prompt_format import Message
from specialists.protocol import Engine, Generation, GenerationRequest, OptionError, Score, ScoreRequest
from specialists.tokens import encode_answer, load_tokenizer, token_counter

KEY = "sk-not-a-real-key-0123456789"


@dataclass
class Server:
    """What the server was asked, and how it is to behave: by the name of the model."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    running: int = 0
    most: int = 0

    def refuse(self, model: str) -> JSONResponse | None:
        self.tries[model] = self.tries.get(model, 0) + 1
        if model == "flaky" and self.tries[model] < 3:
            return JSONResponse({"error": {"message": "slow down"}}, 429, headers={"retry-after": "0.05"})
        if model == "broken":
            return JSONResponse({"error": {"message": f"boom with {KEY} inside"}}, 500)
        if model == "private":
            return JSONResponse({"error": {"message": f"Incorrect API key provided: {KEY}"}}, 401)
        if model == "page":
            return HTMLResponse("<html>welcome</html>")  # type: ignore[return-value]
        if model == "empty":
            return JSONResponse({"error": {"message": "quota"}})
        return JSONResponse({"error": {"message": "no such model"}}, 404) if model == "absent" else None


def make_app(server: Server) -> FastAPI:
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "good", "object": "model", "created": 0, "owned_by": "here"}]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Any:
        body = await request.json()
        server.bodies.append(body)
        server.keys.append(request.headers["authorization"])
        server.headers = dict(request.headers)
        if (refusal := server.refuse(body["model"])) is not None:
            return refusal
        server.running += 1
        server.most = max(server.most, server.running)
        await asyncio.sleep(5.0 if body["model"] == "slow" else 0.05)
        server.running -= 1
        content = {"token": "x", "logprob": -0.25, "bytes": None, "top_logprobs": []}
        choice = {
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": f" {body['messages'][-1]['content']}! "},
            "logprobs": {"content": [content, content]} if body.get("logprobs") else None,
        }
        usage = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11, "prompt_tokens_details": {"cached_tokens": 3}}
        choices = [{**choice, "index": i} for i in range(body["n"])]
        return {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": choices, "usage": usage}

    @app.post("/v1/completions")
    async def completions(request: Request) -> Any:
        body = await request.json()
        if body["model"] != "good":
            return JSONResponse({"error": {"message": "echo is not supported"}}, 400)
        count = len(body["prompt"])
        told = {"token_logprobs": [None, *(-i / 100 for i in range(1, count + 1))], "tokens": [], "top_logprobs": [], "text_offset": []}
        choice = {"index": 0, "finish_reason": "length", "text": "", "logprobs": told}
        return {"id": "1", "object": "text_completion", "created": 0, "model": body["model"], "choices": [choice]}

    return app


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()
    runner = uvicorn.Server(uvicorn.Config(make_app(told), host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    while not runner.started:
        time.sleep(0.01)
    told.url = f"http://127.0.0.1:{runner.servers[0].sockets[0].getsockname()[1]}/v1"
    yield told
    runner.should_exit = True
    thread.join(10)


def config(url: str, **options: Any) -> EngineConfig:
    return EngineConfig(name="far", kind="openai", model="good", options={"base_url": url, "max_retries": 2, **options})


def members(*names: str) -> list[SpecialistConfig]:
    return [SpecialistConfig(name=n, engine="far", domain="law", description="d", adapter=None if n == "good" else n) for n in names]


def ask(name: str = "good", **more: Any) -> GenerationRequest:
    return GenerationRequest(name, [{"role": "user", "content": "Hello"}], **more)


async def generations(engine: Engine, *requests: GenerationRequest) -> list[Generation]:
    try:
        return await engine.generate(requests)
    finally:
        await engine.close()


async def test_a_request_goes_out_whole_and_comes_back_whole(server: Server) -> None:
    engine = build_engine(config(server.url), members("good"))
    request = ask(n=2, seed=5, stop=("\n",), max_tokens=9, temperature=0.5, logprobs=True)
    (made,) = await generations(engine, request)
    assert made.error is None and [s.text for s in made.samples] == ["Hello!", "Hello!"]
    assert made.samples[0].logprobs == (-0.25, -0.25) and made.samples[0].tokens == 2
    assert (made.prompt_tokens, made.cached_tokens) == (7, 3)
    sent = {k: server.bodies[0][k] for k in ("model", "n", "seed", "stop", "max_tokens", "temperature", "logprobs")}
    assert sent == {"model": "good", "n": 2, "seed": 5, "stop": ["\n"], "max_tokens": 9, "temperature": 0.5, "logprobs": True}


async def test_answers_come_in_order_and_one_failure_harms_no_other(server: Server) -> None:
    engine = build_engine(config(server.url), members("good", "absent"))
    made = await generations(engine, ask("absent"), ask(), ask("nobody"), ask())
    assert [m.error is None for m in made] == [False, True, False, True]
    assert "404: no such model" in str(made[0].error)
    assert "no specialist 'nobody'" in str(made[2].error)


async def test_a_busy_server_is_asked_again(server: Server) -> None:
    (made,) = await generations(build_engine(config(server.url), members("flaky")), ask("flaky"))
    assert made.error is None and server.tries["flaky"] == 3


async def test_a_broken_server_is_given_up(server: Server) -> None:
    (made,) = await generations(build_engine(config(server.url, max_retries=1), members("broken")), ask("broken"))
    assert "500" in str(made.error) and server.tries["broken"] == 2


async def test_no_key_shows_anywhere(server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("FAR_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    engine = build_engine(config(server.url, api_key_env="FAR_KEY", max_retries=0), members("good", "private", "broken"))
    made = await generations(engine, ask(), ask("private"), ask("broken"))
    assert server.keys[0] == f"Bearer {KEY}"
    assert "refused the key in $FAR_KEY" in str(made[1].error)
    assert all(KEY not in text for text in [caplog.text, repr(made), repr(engine.__dict__["config"])])


async def test_a_slow_server_is_late_and_a_dead_one_unreachable(server: Server) -> None:
    (late,) = await generations(build_engine(config(server.url, timeout_s=0.2, max_retries=0), members("slow")), ask("slow"))
    assert "did not answer within 0.2 s" in str(late.error)
    (gone,) = await generations(build_engine(config("http://127.0.0.1:9/v1", max_retries=0), members("good")), ask())
    assert "can't be reached" in str(gone.error)


async def test_no_more_than_the_limit_are_in_flight(server: Server) -> None:
    made = await generations(build_engine(config(server.url, concurrency=3), members("good")), *[ask()] * 9)
    assert all(m.error is None for m in made) and server.most == 3


async def test_what_is_configured_wrong_is_told_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(OptionError, match="NOT_SET is not set"):
        OpenAIEngine(config("http://127.0.0.1:9/v1", api_key_env="NOT_SET"), members("good"))
    with pytest.raises(OptionError, match="'colour'"):
        OpenAIEngine(config("http://127.0.0.1:9/v1", colour="red"), members("good"))
    with pytest.raises(OptionError, match="'base_url'"):
        OpenAIEngine(EngineConfig(name="far", kind="openai", model="good"), members("good"))
    with pytest.raises(OptionError, match="no model is named"):
        OpenAIEngine(EngineConfig(name="far", kind="openai", options={"base_url": "http://x/v1"}), members("good"))


async def test_scores_are_those_of_the_answer_alone(server: Server) -> None:
    request = ScoreRequest("good", ask().messages, "forty two")
    engine = build_engine(config(server.url, tokenizer="pocket:base"), members("good", "deaf"))
    good, deaf = await engine.score([request, ScoreRequest("deaf", ask().messages, "forty two")])
    await engine.close()
    length = len(encode_answer(load_tokenizer("test", "pocket:base"), request.messages, "forty two"))
    assert good.logprobs == tuple(-(good.prompt_tokens + i) / 100 for i in range(length))
    assert "can't score: " in str(deaf.error) and "echo is not supported" in str(deaf.error)


async def test_without_a_tokenizer_it_says_that_it_cannot_score(server: Server) -> None:
    engine = build_engine(config(server.url), members("good"))
    (score,) = await engine.score([ScoreRequest("good", ask().messages, "x")])
    await engine.close()
    assert isinstance(score, Score) and "set its option tokenizer" in str(score.error)


async def test_health_tells_of_the_server_and_never_asks_for_another_replica(server: Server) -> None:
    for url, names, said in (
        (server.url, ("good",), "its server answers"),
        (server.url, ("other",), "does not list other"),
        ("http://127.0.0.1:9/v1", ("good",), "can't be reached"),
    ):
        engine = build_engine(config(url), members(*names))
        health = await engine.health()
        assert health.ok and said in health.detail
        await engine.close()
        assert not (await engine.health()).ok


async def test_what_is_no_completion_fails_alone(server: Server) -> None:
    made = await generations(build_engine(config(server.url), members("good", "page", "empty")), ask("page"), ask("empty"), ask())
    assert [m.error is None for m in made] == [False, False, True]
    assert "no completion" in str(made[0].error)


async def test_what_is_meant_for_one_server_is_not_sent_to_another(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-secret")
    await generations(build_engine(config(server.url), members("good")), ask())
    assert not any("secret" in value for value in server.headers.values())


@given(st.text(alphabet="abc déf 0123456789.,€漢字", min_size=1, max_size=200))
def test_without_a_tokenizer_prompts_are_counted_as_no_shorter_than_they_are(text: str) -> None:
    messages: list[Message] = [{"role": "user", "content": text}]
    estimate = token_counter(config("http://x/v1"))(messages)
    assert estimate >= sum(c.isdigit() for c in text) and estimate >= len(text.split())
    assert token_counter(config("http://x/v1", tokenizer=None))(messages) == estimate
