"""Whether answers to a question mean the same, from a natural language inference model.

Two answers mean the same where each entails the other, read after the question (Kuhn, Gal and Farquhar 2023, Semantic
Uncertainty, arXiv:2302.09664).
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from council.cross_encoder import load_cross_encoder, unchanged
from council.errors import ConfigError

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
                activation_fn=unchanged,
                apply_softmax=True,
            )
        shares = np.asarray(logits, dtype=np.float64)[:, label]
        if not np.isfinite(shares).all():  # a comparison with NaN could join answers
            raise ConfigError(f"the entailment model {self.model!r} computes values that are not finite: choose another model")
        rows, columns = zip(*places, strict=True)
        found[rows, columns] = shares
        return found


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
    model = load_cross_encoder("entailment model", name, device)
    return model, _label(name, model)


def _label(name: str, model: CrossEncoder) -> int:
    """The index of the label entailment. Raises ConfigError for a model that has none."""
    config: Any = model.config
    labels = {int(i): str(label) for i, label in config.id2label.items()}
    index = next((i for i, label in labels.items() if label.strip().casefold() == "entailment"), None)
    if index is None or len(labels) < 2:
        raise ConfigError(
            f"the entailment model {name!r} has the labels {', '.join(labels.values())}: choose a model of natural language "
            "inference that has the label entailment and another, such as cross-encoder/nli-deberta-v3-small"
        )
    return index
