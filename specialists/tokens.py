"""Chat messages as a model's own tokens: what engines feed to weights, and what token budgets are counted with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specialists.config import EngineConfig, resolve_weights
from specialists.prompt_format import Message, render_messages
from specialists.protocol import WeightsInvalid, WeightsMissing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TokenCount = Callable[[Sequence[Message]], int]


def is_local(name: str) -> bool:
    """Whether a model's name is a path on this machine rather than a name on a hub."""
    return name.startswith(("pocket:", "/", "./", "../", "~")) or Path(name).exists()


def locate(owner: str, name: str) -> str:
    """`name` as a path or a hub name. Raises WeightsMissing, naming the owner and the path, if a path isn't there."""
    found = resolve_weights(name)
    if is_local(name):
        path = Path(found).expanduser()
        if not path.is_dir():
            raise WeightsMissing(f"{owner}: weights not found at {path}; correct the path in the config, or put them there")
        return str(path)
    return found


@cache
def load_tokenizer(owner: str, name: str, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, with a chat template. Raises WeightsMissing or WeightsInvalid."""
    from transformers import AutoTokenizer

    path = locate(owner, name)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code, padding_side="left")
    except Exception as exc:  # a broken tokenizer.json raises Exception itself
        raise WeightsMissing(f"{owner}: no tokenizer at {path}: {_first_line(exc)}") from exc
    if tokenizer.chat_template is None:
        raise WeightsInvalid(f"{owner}: the tokenizer at {path} has no chat template; use a model tuned for chat")
    try:
        _render(tokenizer, render_messages("q", [], "p"), True)
    except Exception as exc:  # whatever a template may raise
        raise WeightsInvalid(f"{owner}: the chat template at {path} can't render a system and a user turn: {_first_line(exc)}") from exc
    return tokenizer


def encode_chat(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Token ids of a prompt that ends where the assistant's answer begins.

    Text of documents must not end a turn or open one: what reads as one of the tokenizer's special tokens is broken
    up by a space before the template is applied.
    """
    return _encode(tokenizer, _render(tokenizer, messages, True))


def encode_answer(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], answer: str) -> list[int]:
    """Token ids of an answer as the template puts it after the prompt (with a space before it, say), its end not included."""
    prompt = _render(tokenizer, messages, True)
    whole = _render(tokenizer, [*messages, {"role": "assistant", "content": answer}], False)
    if not whole.startswith(prompt):  # a template that writes finished turns in another way
        return _encode(tokenizer, answer)
    said = whole[len(prompt) :]
    return _encode(tokenizer, said[: said.find(answer) + len(answer)] if answer in said else answer)


def _render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], ask: bool) -> str:
    special = _control_tokens(tokenizer)
    turns: list[dict[str, Any]] = [{"role": m["role"], "content": _defuse(m["content"], special)} for m in messages]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask))


def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What the tokenizer reads as a control token: those with a role, and those that it only marks as special, as many models' turn
    marks are. White space alone is none: it could not be broken up."""
    marked = [str(token.content) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return [token for token in dict.fromkeys([*tokenizer.all_special_tokens, *marked]) if len(token.strip()) > 1]


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _defuse(text: str, special: Sequence[str]) -> str:
    for token in special:
        while token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def token_counter(config: EngineConfig) -> TokenCount:
    """How long a prompt is to an engine: exactly, by its model's tokenizer; in words for the scripted engine and
    for replay. For an openai engine with no `tokenizer` option it is an estimate: a token for each digit, and for every three
    bytes of the rest.
    """
    if config.kind == "openai" and config.options.get("tokenizer") is None:
        return lambda messages: sum(4 + _estimate(m["content"]) for m in messages)
    if config.kind in ("scripted", "replay") or config.model is None:
        return lambda messages: sum(len(m["content"].split()) for m in messages)
    name = str(config.options["tokenizer"]) if config.kind == "openai" else config.model
    tokenizer = load_tokenizer(f"engine {config.name!r}", name, config.trust_remote_code)
    return lambda messages: len(encode_chat(tokenizer, messages))


def _estimate(text: str) -> int:
    digits = sum(c.isdigit() for c in text)
    return digits - (digits - len(text.encode())) // 3


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
