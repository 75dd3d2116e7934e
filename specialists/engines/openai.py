"""The openai engine: members that live elsewhere, behind any OpenAI-compatible endpoint (vLLM, Ray Serve LLM, llama.cpp,
Ollama, a hosted API). Retries, back-off with jitter and time limits are the official client's.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, ValidationError

from specialists.config import EngineConfig, SpecialistConfig, Strict
from specialists.protocol import EngineError, Generation, GenerationRequest, Health, OptionError, Sample, Score, ScoreRequest
from specialists.tokens import encode_answer, encode_chat, load_tokenizer

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

NO_KEY: Final = "none"
"""Sent where no key is configured: the client insists on one, servers of one's own ignore it."""
FOR_OPENAI: Final = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS")
"""What the client would send to any server if it found it in the environment; it is meant for one."""


class OpenAIOptions(Strict):
    """Options of this engine."""

    base_url: str
    """Where the API is, such as http://localhost:8000/v1."""
    api_key_env: str | None = None
    """The environment variable that holds the key; keys stand in no config."""
    timeout_s: float = Field(60.0, gt=0)
    """Of one try."""
    max_retries: int = Field(3, ge=0)
    """On 408, 409, 429, 5xx and failed connections, with exponential back-off and jitter."""
    concurrency: int = Field(16, ge=1)
    """Requests in flight; more wait here."""
    tokenizer: str | None = None
    """The model's tokenizer, a folder or a hub name: for exact token budgets, and for `score`."""


class OpenAIEngine:
    """Serves specialists by the server's model names: a specialist's `adapter` if it has one, else the engine's `model`."""

    def __init__(self, config: EngineConfig, specialists: Sequence[SpecialistConfig]) -> None:
        self.config = config
        self._options = options_of(config)
        self._models = {s.name: _model_name(config, s) for s in specialists}
        self._key = _key(config, self._options)
        self._client = _client(config, self._options, self._key)
        self._room: asyncio.Semaphore | None = None
        self._closed = False

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        return list(await asyncio.gather(*(self._generate(r) for r in requests)))

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        return list(await asyncio.gather(*(self._score(r) for r in requests)))

    async def _generate(self, request: GenerationRequest) -> Generation:
        started = time.monotonic()
        if (fault := self._fault(request.specialist)) is not None:
            return Generation(request.specialist, error=fault)
        wanted: dict[str, Any] = {"logprobs": True} if request.logprobs else {}
        wanted |= {"seed": request.seed} if request.seed is not None else {}
        wanted |= {"stop": list(request.stop)} if request.stop else {}
        try:
            completion: ChatCompletion = await self._limited(
                self._client.chat.completions.create, model=self._models[request.specialist], messages=list(request.messages),
                max_tokens=request.max_tokens, temperature=request.temperature, n=request.n, **wanted,
            )  # fmt: skip
            return _generation(request, completion, time.monotonic() - started)
        except EngineError as exc:
            return Generation(request.specialist, error=f"engine {self.config.name!r}: {exc}")
        except (AttributeError, KeyError, TypeError):  # a page, or an object of another kind, in place of a completion
            return Generation(request.specialist, error=f"{self._where} answered what is no completion: is base_url right?")

    async def _score(self, request: ScoreRequest) -> Score:
        """By the completions API: prompt and answer, echoed with their log-probabilities."""
        name = self.config.name
        if (fault := self._fault(request.specialist)) is not None:
            return Score(request.specialist, error=fault)
        if self._options.tokenizer is None:
            return Score(request.specialist, error=f"engine {name!r} can't score: set its option tokenizer to the model's tokenizer")
        prompt: list[int] = []
        try:
            tokenizer = load_tokenizer(f"engine {name!r}", self._options.tokenizer, self.config.trust_remote_code)
            prompt, answer = encode_chat(tokenizer, request.messages), encode_answer(tokenizer, request.messages, request.answer)
            completion = await self._limited(
                self._client.completions.create, model=self._models[request.specialist], prompt=[*prompt, *answer],
                max_tokens=1, temperature=0.0, echo=True, logprobs=1,
            )  # fmt: skip
        except EngineError as exc:
            return Score(request.specialist, prompt_tokens=len(prompt), error=f"engine {name!r}: its server can't score: {exc}")
        told = completion.choices[0].logprobs if completion.choices else None
        chosen = (told.token_logprobs or [])[len(prompt) : len(prompt) + len(answer)] if told is not None else []
        if len(chosen) != len(answer) or any(p is None for p in chosen):
            return Score(
                request.specialist,
                prompt_tokens=len(prompt),
                error=f"engine {name!r}: its server can't score: it does not echo prompts with log-probabilities",
            )
        return Score(request.specialist, tuple(float(p) for p in chosen if p is not None), len(prompt))

    @property
    def _where(self) -> str:
        return f"the server at {self._options.base_url}"

    async def _limited(self, call: Any, **arguments: Any) -> Any:
        """One call within the limit of concurrency."""
        if self._room is None:
            self._room = asyncio.Semaphore(self._options.concurrency)
        async with self._room:
            return await self._told(call, **arguments)

    async def _told(self, call: Any, **arguments: Any) -> Any:
        """One call; the client's errors as one line of ours, without the key."""
        import openai

        where = self._where
        try:
            return await call(**arguments)
        except openai.AuthenticationError as exc:
            told = (
                f"the key in ${self._options.api_key_env}" if self._options.api_key_env else "a request without a key (option api_key_env)"
            )
            raise EngineError(f"{where} refused {told}") from exc
        except openai.APITimeoutError as exc:
            raise EngineError(f"{where} did not answer within {self._options.timeout_s:g} s") from exc
        except openai.APIConnectionError as exc:
            raise EngineError(f"{where} can't be reached: is the server running, and base_url right?") from exc
        except openai.APIStatusError as exc:
            raise EngineError(f"{where} answered {exc.status_code}: {self._without_key(_message(exc))}") from exc
        except (openai.OpenAIError, ValueError) as exc:
            raise EngineError(f"{where} answered what can't be read: {self._without_key(str(exc))}") from exc

    def _without_key(self, text: str) -> str:
        return (text.replace(self._key, "***") if self._key != NO_KEY else text)[:300]

    def _fault(self, specialist: str) -> str | None:
        if self._closed:
            return f"engine {self.config.name!r} is closed"
        if specialist not in self._models:
            return f"no specialist {specialist!r} in engine {self.config.name!r}; there are: {', '.join(self._models)}"
        return None

    async def health(self) -> Health:
        """Whether the server lists its models, asked beside what is in flight. A server that is down is not made better by
        another replica here, so this is told, and the replica stays."""
        if self._closed:
            return Health(False, "closed")
        facts: dict[str, str | float] = {"server": self._options.base_url}
        try:
            served = {model.id for model in (await self._told(self._client.models.list, timeout=5.0)).data}
        except (EngineError, AttributeError, TypeError) as exc:
            return Health(True, f"its server does not answer: {exc}", facts)
        missing = sorted(set(self._models.values()) - served)
        return Health(True, f"its server does not list {', '.join(missing)}" if missing else "its server answers", facts)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._client.close()


def options_of(config: EngineConfig) -> OpenAIOptions:
    """The engine's options. Raises OptionError, naming the one that is wrong."""
    try:
        return OpenAIOptions.model_validate(config.options)
    except ValidationError as exc:
        fault = exc.errors()[0]
        known = ", ".join(OpenAIOptions.model_fields)
        raise OptionError(
            f"engine {config.name!r}: option {'.'.join(map(str, fault['loc']))!r}: {fault['msg']} (options: {known})"
        ) from exc


def _model_name(config: EngineConfig, specialist: SpecialistConfig) -> str:
    name = specialist.adapter or config.model
    if name is None:
        raise OptionError(f"engine {config.name!r}: no model is named; set engines.{config.name}.model to the server's name of it")
    return name


def _key(config: EngineConfig, options: OpenAIOptions) -> str:
    if options.api_key_env is None:
        return NO_KEY
    key = os.environ.get(options.api_key_env, "")
    if not key:
        raise OptionError(f"engine {config.name!r}: the environment variable {options.api_key_env} is not set; put the server's key there")
    return key


def _client(config: EngineConfig, options: OpenAIOptions, key: str) -> AsyncOpenAI:
    try:
        from openai import AsyncOpenAI
    except ImportError as exc:
        raise OptionError(
            f"engine {config.name!r}: the openai client is not installed: pip install 'council-of-specialists[openai]'"
        ) from exc
    kept = {name: os.environ.pop(name) for name in FOR_OPENAI if name in os.environ}
    try:
        return AsyncOpenAI(base_url=options.base_url, api_key=key, timeout=options.timeout_s, max_retries=options.max_retries)
    finally:
        os.environ |= kept


def _message(exc: Any) -> str:
    body = exc.body
    if isinstance(body, dict) and body.get("message"):
        return str(body["message"])
    return (str(exc).splitlines() or [type(exc).__name__])[0]


def _generation(request: GenerationRequest, completion: ChatCompletion, seconds: float) -> Generation:
    usage = completion.usage
    used, prompt = (usage.completion_tokens, usage.prompt_tokens) if usage is not None else (0, 0)
    samples = []
    for choice in completion.choices or []:
        if choice.finish_reason not in ("stop", "length"):
            return Generation(request.specialist, prompt_tokens=prompt, error=f"the server ended its answer: {choice.finish_reason}")
        chosen = tuple(float(t.logprob) for t in (choice.logprobs.content or [])) if choice.logprobs is not None else ()
        tokens = len(chosen) or used // max(1, len(completion.choices))
        samples.append(Sample((choice.message.content or "").strip(), tokens, choice.finish_reason, chosen if request.logprobs else ()))
    if len(samples) != request.n:
        return Generation(request.specialist, prompt_tokens=prompt, error=f"the server sent {len(samples)} answers for {request.n}")
    cached = usage.prompt_tokens_details.cached_tokens if usage is not None and usage.prompt_tokens_details is not None else None
    return Generation(request.specialist, tuple(samples), prompt, seconds, 1, cached_tokens=cached)
