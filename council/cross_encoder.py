"""Loads models that read two texts together, for entailment and for reranking."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from council.errors import ConfigError
from specialists.protocol import WeightsMissing
from specialists.tokens import locate

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


def load_cross_encoder(what: str, name: str, device: str) -> CrossEncoder:
    """The model at a folder or of a hub name that was fetched; `what` is how errors call it ("reranker").

    It runs no code that ships with weights, reads safetensors only, and stays off the network. Raises ConfigError, also for
    a model that doesn't classify pairs of plain texts, or has no weights to do so.
    """
    try:
        where = locate(f"the {what}", name)
    except WeightsMissing as exc:
        raise ConfigError(str(exc)) from exc
    if Path(where).is_dir() and not any(Path(where).glob("*.safetensors")):
        raise ConfigError(f"the {what} at {where} has no *.safetensors, and no other weights are read: save it as safetensors")
    try:
        from sentence_transformers import CrossEncoder
        from transformers.utils import logging
    except ImportError as exc:
        raise ConfigError(f"the {what} needs sentence-transformers: install it ({_one_line(exc)})") from exc
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        model: CrossEncoder = CrossEncoder(
            where,
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
            # A text that says [SEP] must not end where it says so.
            processor_kwargs={"split_special_tokens": True},
        )
        model.eval()
    except Exception as exc:  # the libraries raise many kinds, none of which tells its user what to do
        raise ConfigError(
            f"the {what} {name!r} can't be loaded on {device!r}: fetch it with `hf download {name}`, or name the "
            f"folder of another ({_one_line(exc)})"
        ) from exc
    config: Any = model.config
    # Without weights of its own for its labels, a model would make them up, others at each start.
    made_for = config.architectures or []
    if len(model) != 1 or model.modalities != ["text"] or not any(a.endswith("ForSequenceClassification") for a in made_for):
        raise ConfigError(f"the {what} {name!r} is no plain sequence classifier ({', '.join(made_for)}): choose another model")
    return model


def unchanged(scores: Any) -> Any:
    """The activation that is none: a model's folder may name one, and what follows must see logits."""
    return scores


def _one_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
