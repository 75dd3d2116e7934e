"""Embedder: unit rows of the published model, from any thread, silent, and refused when it is another model."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from council.config import EmbedderConfig
from council.errors import EmbedderError
from council.retrieval import Embedder
from council.retrieval.embedder import check_weights


def test_rows_are_unit_vectors_and_near_meanings_are_near(embedder: Embedder) -> None:
    rows = embedder.embed(["Who found the neutron?", "The neutron was discovered by Chadwick.", "A bond pays interest."])
    assert rows.shape == (3, embedder.dimension) == (3, 384)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.3


def test_no_texts_make_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, 384)


def test_tokens_are_counted_without_the_ones_around_them_and_without_a_limit(embedder: Embedder) -> None:
    assert embedder.token_count("the cat sat") == 3
    assert embedder.token_count("") == 0
    assert embedder.token_count("cat " * 1000) == 1000
    assert embedder.max_tokens == 254


def test_threads_get_the_same_rows(embedder: Embedder) -> None:
    texts = [f"text number {n}" for n in range(8)]
    alone = [embedder.embed([text])[0] for text in texts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda text: embedder.embed([text])[0], texts))
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_missing_model_is_one_line_that_says_what_to_do() -> None:
    with pytest.raises(EmbedderError, match=r"hf download nobody/no-such-model") as caught:
        Embedder(EmbedderConfig(model="nobody/no-such-model")).load()
    assert "\n" not in str(caught.value)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"something else")
    with pytest.raises(EmbedderError, match="is not the published"):
        check_weights(path)
    with pytest.raises(EmbedderError, match="can't be read"):
        check_weights(tmp_path / "missing")


def test_loading_prints_nothing_and_importing_loads_nothing() -> None:
    code = (
        "import sys, council.retrieval as r\n"
        "heavy = {'torch', 'sentence_transformers', 'transformers', 'qdrant_client'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "r.Embedder().embed(['quiet'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
