"""A cross-encoder, which reads question and passage together and so ranks them better than vectors made apart."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from council.config import RerankConfig
from council.cross_encoder import load_cross_encoder, unchanged
from council.errors import ConfigError

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class Reranker:
    """Loads at the first use, or in `load()`; from any thread."""

    def __init__(self, config: RerankConfig) -> None:
        self._config = config
        self._lock = threading.RLock()
        self._model: CrossEncoder | None = None

    @property
    def candidates(self) -> int:
        """How many of the best are ranked anew."""
        return self._config.candidates

    def score(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """How well each text answers, [texts], in [0, 1]: the sigmoid of the model's one logit. Raises ConfigError."""
        if not texts:
            return np.zeros(0, np.float32)
        pairs = [(question.encode(errors="replace").decode(), text) for text in texts]  # no tokenizer takes half a surrogate pair
        with self._lock:
            logits = self.load().predict(
                pairs, prompt="", batch_size=self._config.batch_size, show_progress_bar=False, activation_fn=unchanged
            )
        return np.asarray(1.0 / (1.0 + np.exp(-np.asarray(logits, np.float64))), np.float32)

    def load(self) -> CrossEncoder:
        """Load the model unless it is loaded. Raises ConfigError."""
        with self._lock:
            if self._model is None:
                model = load_cross_encoder("reranker", self._config.model, self._config.device)
                config: Any = model.config
                labels = config.num_labels
                if labels != 1:
                    raise ConfigError(
                        f"the reranker {self._config.model!r} gives {labels} scores a passage, not one: choose another, such as "
                        "cross-encoder/ms-marco-MiniLM-L6-v2"
                    )
                self._model = model
            return self._model
