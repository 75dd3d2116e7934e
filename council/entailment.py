"""Whether answers to a question mean the same, from a natural language inference model.

Two answers mean the same where each entails the other, read after the question (Kuhn, Gal and Farquhar 2023, Semantic
Uncertainty, arXiv:2302.09664).
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from council.errors import ConfigError
from specialists.protocol import WeightsMissing
from specialists.tokens import locate

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class Entailment:
    """P(one answer entails another), from any thread. `model` is a folder or a hub name of a sequence classifier.

    The model loads at the first use, or in `load()`, which a background thread may call. Loading takes seconds and
    raises ConfigError. It never runs code that ships with weights, reads safetensors only, and stays off the network.
    """

    def __init__(self, model: str, device: str = "cpu", batch_size: int = 32) -> None:
        self.model, self._device, self._batch_size = model, device, batch_size
        self._lock = threading.RLock()
        self._loaded: tuple[CrossEncoder, int] | None = None

    def load(self) -> tuple[CrossEncoder, int]:
        """The model and the index of its label entailment: loaded once, whichever thread comes first."""
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self.model, self._device)
            return self._loaded

    def about(self, question: str) -> Callable[[Sequence[str]], NDArray[np.float64]]:
        """n answers to the question -> [n, n]: at [i, j], P(answer i entails answer j); 1 on the diagonal.

        The matrix isn't symmetric: `group_answers` takes the lesser of both ways. An answer that the model can't read
        to its end entails no other, and no other entails it. Raises ConfigError where the model can't be used.
        """
        return partial(self._matrix, question)

    def _matrix(self, question: str, answers: Sequence[str]) -> NDArray[np.float64]:
        found = np.eye(len(answers))
        if len(answers) < 2:
            return found
        with self._lock:
            model, label = self.load()
            statements = _statements(model, question, answers)
            places = [(i, j) for i in statements for j in statements if i != j]
            if not places:
                return found
            logits = model.predict(
                [(statements[i], statements[j]) for i, j in places],
                prompt="",  # the folder may come with one
                batch_size=self._batch_size,
                show_progress_bar=False,
                activation_fn=_unchanged,  # the folder may name another, and softmax must see logits
                apply_softmax=True,
            )
        shares = np.asarray(logits, dtype=np.float64)[:, label]
        if not np.isfinite(shares).all():  # a comparison with NaN could join answers
            raise ConfigError(f"the entailment model {self.model!r} computes values that are not finite: choose another model")
        rows, columns = zip(*places, strict=True)
        found[rows, columns] = shares
        return found


def _unchanged(scores: Any) -> Any:
    return scores


def _statements(model: CrossEncoder, question: str, answers: Sequence[str]) -> dict[int, str]:
    """The question and each answer as one text, by the answer's place, each at most half of what the model reads.

    Left to itself, the tokenizer would cut at the end, where the answers are, and all of them would look the same. Here
    the question loses its beginning instead, as much for each answer. Answers that don't fit on their own are left out.
    """
    # No tokenizer takes half of a surrogate pair, which a member's JSON may hold.
    question, *answers = (text.encode(errors="replace").decode() for text in (question, *answers))
    # RoBERTa's positions begin at 2: it reads two tokens fewer than it has positions.
    room = (model.tokenizer.model_max_length - 2 - model.tokenizer.num_special_tokens_to_add(pair=True)) // 2

    def fits(text: str) -> bool:
        return len(model.tokenizer.encode(text, add_special_tokens=False, verbose=False)) <= int(room)

    short = {i: answer for i, answer in enumerate(answers) if fits(answer)}
    cuts = range(len(question) + 1)
    cut = bisect_left(cuts, True, key=lambda n: all(fits(f"{question[n:]} {answer}") for answer in short.values()))
    return {i: f"{question[cut:]} {answer}".strip() for i, answer in short.items()}


def _load(name: str, device: str) -> tuple[CrossEncoder, int]:
    try:
        where = locate("the entailment model", name)
    except WeightsMissing as exc:
        raise ConfigError(str(exc)) from exc
    if Path(where).is_dir() and not any(Path(where).glob("*.safetensors")):
        raise ConfigError(f"the entailment model at {where} has no *.safetensors, and no other weights are read: save it as safetensors")
    try:
        from sentence_transformers import CrossEncoder
        from transformers.utils import logging
    except ImportError as exc:
        raise ConfigError(f"entailment needs sentence-transformers: install it ({_one_line(exc)})") from exc
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        model = CrossEncoder(
            where,
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
            # An answer that says [SEP] must not end the statement that it stands in.
            processor_kwargs={"split_special_tokens": True},
        ).eval()
    except Exception as exc:  # the libraries raise many kinds, none of which tells its user what to do
        raise ConfigError(
            f"the entailment model {name!r} can't be loaded on {device!r}: fetch it with `hf download {name}`, or name the "
            f"folder of another ({_one_line(exc)})"
        ) from exc
    return model, _label(name, model)


def _label(name: str, model: CrossEncoder) -> int:
    """The index of the label entailment. Raises ConfigError for a model that doesn't classify pairs of plain texts so."""
    config: Any = model.config
    # Without weights of its own for its labels, a model would make them up, others at each start.
    made_for = config.architectures or []
    if len(model) != 1 or model.modalities != ["text"] or not any(a.endswith("ForSequenceClassification") for a in made_for):
        raise ConfigError(f"the entailment model {name!r} is no plain sequence classifier ({', '.join(made_for)}): choose another model")
    labels = {int(i): str(label) for i, label in config.id2label.items()}
    index = next((i for i, label in labels.items() if label.strip().casefold() == "entailment"), None)
    if index is None or len(labels) < 2:
        raise ConfigError(
            f"the entailment model {name!r} has the labels {', '.join(labels.values())}: choose a model of natural language "
            "inference that has the label entailment and another, such as cross-encoder/nli-deberta-v3-small"
        )
    return index


def _one_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
