"""The vllm engine: vLLM's AsyncLLM inside this process's replica; base and LoRA specialists in one continuous batch.

Prompts are handed over as tokens, made by the code that every engine uses, so that engines differ in arithmetic alone.
Keeps to the interface that vLLM 0.25.1 and 0.32.0 share.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from specialists.config import EngineConfig, SpecialistConfig
from specialists.engines.counters import StepCounters
from specialists.engines.tee import OutputTee
from specialists.protocol import (
    EngineError,
    Generation,
    GenerationRequest,
    Health,
    HostError,
    OptionError,
    RequestError,
    Sample,
    Score,
    ScoreRequest,
    WeightsInvalid,
    WeightsMissing,
)
from specialists.tokens import encode_answer, encode_chat, is_local, load_tokenizer, locate

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest
    from vllm.outputs import RequestOutput
    from vllm.sampling_params import SamplingParams
    from vllm.v1.engine.async_llm import AsyncLLM

Answer = TypeVar("Answer")
OWNED: Final = {
    "model": "model", "max_model_len": "max_context", "max_num_seqs": "max_batch", "trust_remote_code": "trust_remote_code",
    "enable_lora": "specialists.*.adapter", "max_loras": "specialists.*.adapter",
}  # fmt: skip
"""Arguments that other keys of the config decide."""
RANKS: Final = (8, 16, 32, 64, 128, 256, 512)
"""The LoRA ranks that vLLM makes room for."""
ENVIRONMENT: Final = "environment"
"""The one option that is no engine argument: variables that vLLM reads, such as VLLM_CPU_KVCACHE_SPACE (GiB)."""


def engine_arguments(config: EngineConfig, adapters: Sequence[Path]) -> dict[str, Any]:
    """vLLM's arguments for a host, by vLLM's own names. Raises OptionError for one that contradicts the config."""
    options = {k: v for k, v in config.options.items() if k != ENVIRONMENT}
    for name in options.keys() & OWNED.keys():
        raise OptionError(f"engine {config.name!r}: option {name!r} is decided by {OWNED[name]}; set that in its place")
    arguments: dict[str, Any] = {
        "load_format": "safetensors", **options,
        "model": locate(f"engine {config.name!r}", str(config.model)), "max_model_len": config.max_context,
        "max_num_seqs": config.max_batch, "trust_remote_code": config.trust_remote_code,
    }  # fmt: skip
    if 0 < config.resources.num_gpus < 1:  # a little less than its share, so that the hosts of one card fit together
        arguments.setdefault("gpu_memory_utilization", round(0.95 * config.resources.num_gpus, 3))
    if adapters:
        settings = [_adapter_settings(folder) for folder in adapters]
        arguments.setdefault("max_lora_rank", _room(config, max(rank for rank, _ in settings)))
        if all(modules for _, modules in settings):
            arguments.setdefault("lora_target_modules", sorted(set().union(*(modules for _, modules in settings))))
        arguments |= {"enable_lora": True, "max_loras": len(adapters)}
    return arguments


def _adapter_settings(folder: Path) -> tuple[int, set[str]]:
    """An adapter's rank, and the modules it adapts by name (none if it tells them by a pattern).

    Only these get room for adapters: wrapped for nothing, the head over the vocabulary would fail to score prompts on a CPU.
    """
    try:
        settings = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        modules = settings.get("target_modules")
        return int(settings["r"]), {str(m).rpartition(".")[2] for m in modules} if isinstance(modules, list) else set()
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise WeightsInvalid(f"{folder}: adapter_config.json can't be read: {exc}") from exc


def _room(config: EngineConfig, rank: int) -> int:
    fitting = [r for r in RANKS if r >= rank]
    if not fitting:
        raise WeightsInvalid(f"engine {config.name!r}: an adapter's rank is {rank}; vLLM serves up to {RANKS[-1]}")
    return fitting[0]


def _adapter_folder(specialist: SpecialistConfig) -> Path:
    """Where an adapter's files are; one with a hub name is fetched, its safetensors alone."""
    owner, name = f"specialist {specialist.name!r}", str(specialist.adapter)
    if is_local(name):
        return Path(locate(owner, name))
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=["*.safetensors", "*.json"]))
    except Exception as exc:  # the hub's client raises many kinds
        raise WeightsMissing(f"{owner}: adapter {name!r} can't be fetched: {str(exc).splitlines()[0]}") from exc
    if not (folder / "adapter_model.safetensors").is_file():
        raise WeightsInvalid(f"{owner}: adapter {name!r} has no adapter_model.safetensors; other formats are not loaded")
    return folder


class VllmEngine:
    """Serves specialists of one base model. Raises EngineError at construction if they can't be served."""

    def __init__(self, config: EngineConfig, specialists: Sequence[SpecialistConfig]) -> None:
        self.config = config
        if config.model is None:
            raise WeightsMissing(f"engine {config.name!r}: no model is configured; set engines.{config.name}.model")
        _set_environment(config)
        folders = {s.name: _adapter_folder(s) for s in specialists if s.adapter is not None}
        arguments = engine_arguments(config, tuple(folders.values()))
        self._tokenizer = load_tokenizer(f"engine {config.name!r}", config.model, config.trust_remote_code)
        if folders:  # vLLM would load what does not fit, and answer with it
            from specialists.engines.lora import check_fit, layer_shapes

            check_fit(folders, layer_shapes(arguments["model"], config.trust_remote_code))
        self._counters = StepCounters()
        self._engine = _start(config, arguments, self._counters)
        self._adapters = self._adapter_requests(specialists, folders)
        self._in_flight, self._closed = 0, False
        self._loading, self._to_load = asyncio.Lock(), [a for a in self._adapters.values() if a is not None]
        self._tasks: set[asyncio.Future[Any]] = set()
        self._facts: dict[str, str | float] = {"adapters": float(len(folders)), "dtype": str(arguments.get("dtype", "auto"))}

    @staticmethod
    def _adapter_requests(specialists: Sequence[SpecialistConfig], folders: dict[str, Path]) -> dict[str, LoRARequest | None]:
        from vllm.lora.request import LoRARequest

        numbered = {name: number for number, name in enumerate(folders, 1)}
        return {s.name: LoRARequest(s.name, numbered[s.name], str(folders[s.name])) if s.name in folders else None for s in specialists}

    async def _load_adapters(self) -> None:
        """Load them before anything is asked of them: one that vLLM meets only in a batch, and can't load, ends the whole engine.

        Loading wants a running event loop, which a constructor lacks; so the first call does it, and in a replica that
        is Serve's first health check. Raises EngineError, naming the specialist.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        async with self._loading:
            while self._to_load:
                adapter = self._to_load[0]
                try:
                    await self._engine.add_lora(adapter)
                except EngineDeadError as exc:
                    raise HostError(f"engine {self.config.name!r} has died and is being replaced") from exc
                except Exception as exc:  # vLLM raises many kinds
                    raise WeightsInvalid(
                        f"specialist {adapter.lora_name!r}: vLLM can't serve the adapter at {adapter.lora_path}: {_first_line(exc)}"
                    ) from exc
                del self._to_load[0]

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        return list(await self._together([self._generate(r) for r in requests]))

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        return list(await self._together([self._score(r) for r in requests]))

    async def _together(self, calls: Sequence[Coroutine[Any, Any, Answer]]) -> list[Answer]:
        """Results in order. If this is cancelled, so is every call; if the engine is closed, this raises HostError."""
        tasks = [asyncio.ensure_future(call) for call in calls]
        self._tasks.update(tasks)
        try:
            return list(await asyncio.gather(*tasks))
        except asyncio.CancelledError:
            if self._closed:
                raise HostError(f"engine {self.config.name!r} was closed") from None
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.difference_update(tasks)

    async def _generate(self, request: GenerationRequest) -> Generation:
        started, prompt = time.monotonic(), encode_chat(self._tokenizer, request.messages)
        fault = self._fault(request.specialist, len(prompt), request.max_tokens)
        if fault is None and request.n < 1:
            fault = "n must be at least 1"
        if fault is not None:
            return Generation(request.specialist, prompt_tokens=len(prompt), error=fault)
        self._in_flight += request.n
        try:
            params = _sampling(request)
            output, beside = await self._run(prompt, params, request.specialist)
        except EngineError as exc:
            return Generation(request.specialist, prompt_tokens=len(prompt), error=str(exc))
        finally:
            self._in_flight -= request.n
        return _generation(request, output, len(prompt), time.monotonic() - started, beside)

    async def _score(self, request: ScoreRequest) -> Score:
        """One prefill of prompt and answer; of what it tells, the answer's tokens."""
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        prompt = encode_chat(self._tokenizer, request.messages)
        answer = encode_answer(self._tokenizer, request.messages, request.answer)
        fault = self._fault(request.specialist, len(prompt), len(answer) + 1)
        if fault is not None:
            return Score(request.specialist, prompt_tokens=len(prompt), error=fault)
        params = SamplingParams(
            max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY
        )
        try:
            output, _ = await self._run([*prompt, *answer], params, request.specialist)
        except EngineError as exc:
            return Score(request.specialist, prompt_tokens=len(prompt), error=str(exc))
        told = (output.prompt_logprobs or [])[len(prompt) :]
        chosen = tuple(float(place[token].logprob) for place, token in zip(told, answer, strict=True) if place is not None)
        return Score(request.specialist, chosen, len(prompt))

    async def _run(self, prompt: list[int], params: SamplingParams, specialist: str) -> tuple[RequestOutput, int]:
        """The finished output of one request, and how many ran beside it. Cancelled, it is aborted in the engine.

        Raises EngineError.
        """
        from vllm import TokensPrompt
        from vllm.v1.engine.exceptions import EngineDeadError

        await self._load_adapters()
        last: RequestOutput | None = None
        name = uuid.uuid4().hex
        self._counters.begin(name)
        try:
            async for output in self._engine.generate(
                TokensPrompt(prompt_token_ids=prompt), params, name, lora_request=self._adapters[specialist]
            ):
                last = output
            await asyncio.sleep(0)  # vLLM hands over a step's outputs before it counts the step
        except EngineDeadError as exc:
            raise HostError(f"engine {self.config.name!r} has died and is being replaced") from exc
        except asyncio.CancelledError:
            raise
        except Exception as exc:  # vLLM raises many kinds for a request that it can't serve
            raise EngineError(f"engine {self.config.name!r}: {_first_line(exc.__cause__ or exc)}") from exc
        finally:
            beside = self._counters.end(name)
        if last is None or not last.finished:
            raise HostError(f"engine {self.config.name!r} ended a request without an answer")
        return last, beside

    def _fault(self, specialist: str, length: int, room: int) -> str | None:
        """What makes a request impossible to serve here, if anything."""
        if self._closed:
            return f"engine {self.config.name!r} is closed"
        if specialist not in self._adapters:
            return f"no specialist {specialist!r} in engine {self.config.name!r}; there are: {', '.join(self._adapters)}"
        if length + room > self.config.max_context:
            return f"a prompt of {length} tokens and an answer of up to {room} do not fit into {self.config.max_context}"
        return None

    async def health(self) -> Health:
        """Not ok once the engine core has died: Serve then starts another replica."""
        if self._closed:
            return Health(False, "closed", self._facts)
        try:
            await self._engine.check_health()
        except Exception as exc:
            return Health(False, f"the engine core has died: {_first_line(exc)}", self._facts)
        try:
            await self._load_adapters()
        except EngineError as exc:
            return Health(False, str(exc), self._facts)
        looked_up, found = self._counters.prompt_tokens_looked_up, self._counters.prompt_tokens_found
        facts = {**self._facts, "prompt_tokens_looked_up": float(looked_up), "prompt_tokens_found": float(found)}
        return Health(True, f"{self._in_flight} in flight", facts)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            for task in self._tasks:
                task.cancel()
            self._engine.shutdown()
            del self._engine  # at the end of the process it could no longer tear itself down


def _set_environment(config: EngineConfig) -> None:
    chosen = config.options.get(ENVIRONMENT, {})
    if not isinstance(chosen, dict):
        raise OptionError(f"engine {config.name!r}: option {ENVIRONMENT!r} must map names of variables to values")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # what runs here is nobody else's business
    os.environ |= {str(name): str(int(value) if isinstance(value, bool) else value) for name, value in chosen.items()}


def _start(config: EngineConfig, arguments: dict[str, Any], counters: StepCounters) -> AsyncLLM:
    """A running engine. Raises OptionError for an argument that vLLM doesn't have, before anything loads."""
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as exc:
        raise OptionError(
            f"engine {config.name!r}: vLLM can't be imported ({exc}); install it: pip install 'council-of-specialists[vllm]'"
        ) from exc
    known = {field.name for field in fields(AsyncEngineArgs)}
    if "lora_target_modules" not in known | config.options.keys():  # vLLM 0.25.1 may not have it yet
        arguments.pop("lora_target_modules", None)
    for name in arguments.keys() - known:
        raise OptionError(f"engine {config.name!r}: vLLM has no engine argument {name!r}")
    logging.getLogger("vllm").setLevel(logging.ERROR)
    tee = OutputTee()
    try:
        with tee:
            return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments), stat_loggers=[lambda *_: counters])
    except Exception as exc:  # vLLM raises many kinds
        raise WeightsInvalid(f"engine {config.name!r}: vLLM did not start: {tee.fault() or _first_line(exc)}") from exc


def _sampling(request: GenerationRequest) -> SamplingParams:
    """Raises RequestError for what vLLM does not do, such as a temperature above 2."""
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    try:
        return SamplingParams(
            n=request.n if request.temperature > 0 else 1, temperature=request.temperature, seed=request.seed, stop=list(request.stop),
            max_tokens=request.max_tokens, logprobs=0 if request.logprobs else None, output_kind=RequestOutputKind.FINAL_ONLY,
        )  # fmt: skip
    except Exception as exc:  # of 0.32.0 not a ValueError
        raise RequestError(_first_line(exc)) from exc


def _generation(request: GenerationRequest, output: RequestOutput, length: int, seconds: float, beside: int) -> Generation:
    samples = []
    for made in output.outputs:
        if made.finish_reason not in ("stop", "length"):
            return Generation(request.specialist, prompt_tokens=length, error=f"the engine ended the request: {made.finish_reason}")
        chosen = zip(made.logprobs or [], made.token_ids, strict=False)
        logprobs = tuple(float(place[token].logprob) for place, token in chosen) if request.logprobs else ()
        samples.append(Sample(made.text.strip(), len(made.token_ids), made.finish_reason, logprobs))
    if request.temperature <= 0:
        samples *= request.n  # greedy answers to one prompt are one answer
    told: Any = output.metrics
    return Generation(
        request.specialist, tuple(samples), length, seconds, beside,
        queued_s=max(0.0, told.scheduled_ts - told.queued_ts) if told else None,
        first_token_s=told.first_token_latency if told else None,
        cached_tokens=output.num_cached_tokens,
    )  # fmt: skip


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0]
