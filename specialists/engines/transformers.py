"""The transformers engine: one model on the CPU or a GPU, many LoRA specialists in one batch.

Requests of concurrent callers wait in one queue; whatever waits when the model is free becomes the next batch. Rows
of a batch do not see each other, so an answer does not depend on what else is in the batch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, ValidationError
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from specialists.config import EngineConfig, SpecialistConfig, Strict
from specialists.engines.lora import install_adapters, load_adapter
from specialists.protocol import (
    Generation,
    GenerationRequest,
    Health,
    HostError,
    OptionError,
    Sample,
    Score,
    ScoreRequest,
    WeightsInvalid,
    WeightsMissing,
)
from specialists.tokens import encode_answer, encode_chat, load_tokenizer, locate


class TransformersOptions(Strict):
    """Options of this engine."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    threads: int | None = Field(None, ge=1)
    """CPU threads of one replica; None: torch's default."""


@dataclass
class _Row:
    """One sequence of a batch: its prompt, and what has been generated of it."""

    prompt: list[int]
    adapter: int
    request: GenerationRequest
    sampler: torch.Generator | None
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: str | None = None
    text: str = ""


@dataclass
class _Job:
    """One request in the queue. `done` may be cancelled from outside, which takes it out of its batch."""

    request: GenerationRequest | ScoreRequest
    prompt: list[int]
    done: asyncio.Future[Generation | Score]
    arrived: float
    answer: list[int] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.request.n if isinstance(self.request, GenerationRequest) else 1


def _options(config: EngineConfig) -> TransformersOptions:
    try:
        return TransformersOptions.model_validate(config.options)
    except ValidationError as exc:
        fault = exc.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        known = ", ".join(TransformersOptions.model_fields)
        raise OptionError(f"engine {config.name!r}: option {key!r}: {fault['msg']} (options: {known})") from exc


def _load_model(config: EngineConfig, options: TransformersOptions) -> PreTrainedModel:
    if config.model is None:
        raise WeightsMissing(f"engine {config.name!r}: no model is configured; set engines.{config.name}.model")
    path = locate(f"engine {config.name!r}", config.model)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            path, use_safetensors=True, trust_remote_code=config.trust_remote_code, dtype=getattr(torch, options.dtype)
        )
    except Exception as exc:  # the library raises many kinds, none of which tells its user what to do
        kind = WeightsInvalid if Path(path).is_dir() and any(Path(path).glob("*.safetensors")) else WeightsMissing
        first = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise kind(f"engine {config.name!r}: the model at {path} can't be loaded: {first}") from exc
    return model


class TransformersEngine:
    """Serves specialists of one base model. Raises EngineError at construction if any weights are missing."""

    def __init__(self, config: EngineConfig, specialists: Sequence[SpecialistConfig]) -> None:
        self.config, options = config, _options(config)
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        adapted = [s for s in specialists if s.adapter is not None]
        adapters = [load_adapter(s.name, Path(locate(f"specialist {s.name!r}", str(s.adapter)))) for s in adapted]
        self._model = _load_model(config, options)
        self._tokenizer = load_tokenizer(f"engine {config.name!r}", str(config.model), config.trust_remote_code)
        self._selection = install_adapters(self._model, adapters) if adapters else None
        wanted = "cuda" if options.device == "auto" and torch.cuda.is_available() else options.device
        if wanted == "cuda" and not torch.cuda.is_available():
            raise OptionError(f"engine {config.name!r}: option 'device': there is no CUDA device here; set it to auto or cpu")
        self._device = torch.device("cpu" if wanted == "auto" else wanted)
        self._model.to(self._device).eval()  # type: ignore[arg-type]
        self._adapter_of = {s.name: 0 for s in specialists} | {s.name: i for i, s in enumerate(adapted, 1)}
        self._ends = self._end_tokens()
        self._facts: dict[str, str | float] = {
            "device": str(self._device), "dtype": options.dtype, "adapters": float(len(adapters)),
            "parameters": float(sum(p.numel() for p in self._model.parameters())),
        }  # fmt: skip
        self._queue: list[_Job] = []
        self._wake: asyncio.Event | None = None
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"engine-{config.name}")
        self._closed, self._broken = False, ""

    def _end_tokens(self) -> frozenset[int]:
        configured = self._model.generation_config.eos_token_id if self._model.generation_config else None
        listed = configured if isinstance(configured, list) else [configured]
        return frozenset(int(t) for t in [*listed, self._tokenizer.eos_token_id] if t is not None)

    # --- the queue ---------------------------------------------------------------------------------------------

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        outcomes = await self._submit(requests)
        return [o for o in outcomes if isinstance(o, Generation)]

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        outcomes = await self._submit(requests)
        return [o for o in outcomes if isinstance(o, Score)]

    async def _submit(self, requests: Sequence[GenerationRequest | ScoreRequest]) -> list[Generation | Score]:
        if self._closed:
            raise HostError(f"engine {self.config.name!r} is closed")
        loop = asyncio.get_running_loop()
        jobs = [_Job(r, encode_chat(self._tokenizer, r.messages), loop.create_future(), time.monotonic()) for r in requests]
        waiting = []
        for job in jobs:
            fault = self._fault(job)
            if fault is None:
                waiting.append(job)
            else:
                job.done.set_result(_failed(job, fault))
        self._queue.extend(waiting)
        self._start_worker().set()
        try:
            return list(await asyncio.gather(*(job.done for job in jobs)))
        finally:
            for job in jobs:
                job.done.cancel()

    def _fault(self, job: _Job) -> str | None:
        """What makes a request impossible to serve here, if anything."""
        name, length = job.request.specialist, len(job.prompt)
        if name not in self._adapter_of:
            return f"no specialist {name!r} in engine {self.config.name!r}; there are: {', '.join(self._adapter_of)}"
        if isinstance(job.request, ScoreRequest):
            job.answer = encode_answer(self._tokenizer, job.request.messages, job.request.answer)
            room, what = len(job.answer), f"an answer of {len(job.answer)}"
        else:
            room, what = job.request.max_tokens, f"an answer of up to {job.request.max_tokens}"
        if job.rows < 1:
            return "n must be at least 1"
        if job.rows > self.config.max_batch:
            return f"{job.rows} samples are more than engine {self.config.name!r} takes in a batch ({self.config.max_batch})"
        if length + room > self.config.max_context:
            return f"a prompt of {length} tokens and {what} do not fit into {self.config.max_context}"
        return None

    def _start_worker(self) -> asyncio.Event:
        if self._wake is None or self._worker is None or self._worker.done():
            self._wake = asyncio.Event()
            self._worker = asyncio.create_task(self._work(self._wake))
        return self._wake

    async def _work(self, wake: asyncio.Event) -> None:
        """Form batches of whatever waits, one kind of request at a time, and run them one after another."""
        loop = asyncio.get_running_loop()
        while not self._closed:
            await wake.wait()
            wake.clear()
            while batch := self._next_batch():
                run = self._generate_batch if isinstance(batch[0].request, GenerationRequest) else self._score_batch
                try:
                    outcomes: Sequence[Generation | Score] = await loop.run_in_executor(self._thread, run, batch)
                except asyncio.CancelledError:
                    for job in batch:
                        if not job.done.done():
                            job.done.set_exception(HostError(f"engine {self.config.name!r} was closed"))
                    raise
                except Exception as exc:  # whatever a model's code raises fails this batch, not the engine
                    outcomes = [_failed(job, f"engine {self.config.name!r} failed: {exc}") for job in batch]
                    if isinstance(exc, torch.AcceleratorError) and not isinstance(exc, torch.OutOfMemoryError):
                        self._broken = f"the device failed: {exc}".splitlines()[0]  # its context can't be used again
                for job, outcome in zip(batch, outcomes, strict=True):
                    if not job.done.done():
                        job.done.set_result(outcome)

    def _next_batch(self) -> list[_Job]:
        self._queue = [job for job in self._queue if not job.done.cancelled()]
        batch: list[_Job] = []
        rows = 0
        for job in self._queue:
            if type(job.request) is type(self._queue[0].request) and rows + job.rows <= self.config.max_batch:
                batch.append(job)
                rows += job.rows
        chosen = set(map(id, batch))
        self._queue = [job for job in self._queue if id(job) not in chosen]
        return batch

    # --- the model ---------------------------------------------------------------------------------------------

    def _padded(self, sequences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Token ids, attention mask and positions, all [batch, longest], padded on the left."""
        length = max(len(s) for s in sequences)
        pad = self._tokenizer.pad_token_id or 0
        ids = torch.tensor([[pad] * (length - len(s)) + list(s) for s in sequences], device=self._device)
        mask = torch.tensor([[0] * (length - len(s)) + [1] * len(s) for s in sequences], device=self._device)
        return ids, mask, (mask.cumsum(-1) - 1).clamp(min=0)

    def _select(self, adapters: Sequence[int]) -> None:
        if self._selection is not None:
            rows = torch.tensor(adapters, device=self._device)
            self._selection.choose(rows if any(adapters) else None)

    def _make_rows(self, job: _Job) -> list[_Row]:
        request = job.request
        assert isinstance(request, GenerationRequest)
        rows = []
        for sample in range(request.n):
            sampler = None
            if request.temperature > 0:
                sampler = torch.Generator()
                sampler.manual_seed(request.seed * 1000 + sample if request.seed is not None else torch.seed())
            rows.append(_Row(job.prompt, self._adapter_of[request.specialist], request, sampler))
        return rows

    @torch.inference_mode()
    def _generate_batch(self, jobs: Sequence[_Job]) -> list[Generation]:
        of_job = [self._make_rows(job) for job in jobs]
        rows = [row for made in of_job for row in made]
        self._select([row.adapter for row in rows])
        ids, mask, positions = self._padded([row.prompt for row in rows])
        cache = DynamicCache(config=self._model.config)
        steps = max(row.request.max_tokens for row in rows)
        for _ in range(steps):
            logits = self._model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
            ).logits[:, -1].float()  # fmt: skip
            chosen = self._advance(rows, logits)
            for job, made in zip(jobs, of_job, strict=True):
                if job.done.cancelled():
                    for row in made:
                        row.finish = row.finish or "cancelled"
            if all(row.finish for row in rows):
                break
            ids = chosen[:, None]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            positions = positions[:, -1:] + 1
        now = time.monotonic()
        return [self._collect(job, made, len(rows), now) for job, made in zip(jobs, of_job, strict=True)]

    def _advance(self, rows: Sequence[_Row], logits: Tensor) -> Tensor:
        """Choose each row's next token from logits [batch, vocab]; note it on the rows that go on."""
        chosen = logits.argmax(-1)
        logprobs = torch.log_softmax(logits, -1) if any(r.request.logprobs for r in rows) else None
        for i, row in enumerate(rows):
            if row.finish is not None:
                continue
            if row.sampler is not None:
                share = torch.softmax(logits[i] / row.request.temperature, -1).cpu()
                chosen[i] = torch.multinomial(share, 1, generator=row.sampler)[0]
            token = int(chosen[i])
            row.tokens.append(token)
            if logprobs is not None:
                row.logprobs.append(float(logprobs[i, token]))
            self._check_end(row, token)
        return chosen

    def _check_end(self, row: _Row, token: int) -> None:
        ended = token in self._ends
        kept = row.tokens[:-1] if ended else row.tokens
        if ended or row.request.stop or len(row.tokens) >= row.request.max_tokens:
            row.text = str(self._tokenizer.decode(kept, skip_special_tokens=True))
        cut = min((at for at in (row.text.find(s) for s in row.request.stop) if at >= 0), default=-1)
        if cut >= 0:
            row.text, row.finish = row.text[:cut], "stop"
        elif ended:
            row.finish = "stop"
        elif len(row.tokens) >= row.request.max_tokens:
            row.finish = "length"

    def _collect(self, job: _Job, rows: Sequence[_Row], batch_size: int, now: float) -> Generation:
        wanted = rows[0].request.logprobs
        samples = tuple(Sample(r.text.strip(), len(r.tokens), r.finish or "length", tuple(r.logprobs) if wanted else ()) for r in rows)
        return Generation(job.request.specialist, samples, len(job.prompt), now - job.arrived, batch_size)

    @torch.inference_mode()
    def _score_batch(self, jobs: Sequence[_Job]) -> list[Score]:
        """Teacher-forced log-likelihoods: one forward pass, no decoding."""
        self._select([self._adapter_of[job.request.specialist] for job in jobs])
        ids, mask, positions = self._padded([job.prompt + job.answer for job in jobs])
        keep = max(len(job.answer) for job in jobs) + 1
        logits = self._model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=keep).logits
        likelihood = torch.log_softmax(logits.float(), -1)
        scores = []
        for i, job in enumerate(jobs):
            count = len(job.answer)
            at = likelihood[i, keep - 1 - count : keep - 1]
            picked = at.gather(-1, torch.tensor(job.answer, device=self._device, dtype=torch.long)[:, None])[:, 0]
            scores.append(Score(job.request.specialist, tuple(map(float, picked)), len(job.prompt)))
        return scores

    # --- life ----------------------------------------------------------------------------------------------------

    async def health(self) -> Health:
        if self._closed:
            return Health(False, "closed", self._facts)
        if self._broken:
            return Health(False, self._broken, self._facts)
        return Health(True, f"{len(self._queue)} waiting", self._facts)

    async def close(self) -> None:
        """Stop the worker; requests that still wait fail."""
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
        for job in self._queue:
            if not job.done.done():
                job.done.set_exception(HostError(f"engine {self.config.name!r} was closed"))
        self._queue.clear()
        self._thread.shutdown(wait=False)


def _failed(job: _Job, error: str) -> Generation | Score:
    if isinstance(job.request, GenerationRequest):
        return Generation(job.request.specialist, prompt_tokens=len(job.prompt), error=error)
    return Score(job.request.specialist, prompt_tokens=len(job.prompt), error=error)
