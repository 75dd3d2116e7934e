"""Points: what is written is what is read, and strangers' points are refused."""

from __future__ import annotations

import numpy as np
import pytest

from council.errors import StoreError
from council.retrieval.store import check_shapes, to_chunk, to_passages, to_payload
from council.types import Provenance

from .conftest import make_chunk, vectors_of


def test_a_chunk_comes_back_as_it_was_and_as_a_passage() -> None:
    provenance = Provenance(origin="machine", source="s", document="d", details={"big": 10**30, "list": [1, None]})
    chunk = make_chunk("text", "law", title="T").model_copy(update={"provenance": provenance})
    assert to_chunk(chunk.id, to_payload(chunk)) == chunk
    (passage,) = to_passages([chunk, chunk.model_copy(update={"held": "poor"})])
    assert (passage.id, passage.title, passage.text, passage.domain, passage.provenance) == (chunk.id, "T", "text", "law", provenance)


@pytest.mark.parametrize("payload", [None, {}, {"provenance": "["}, {"provenance": "{}", "title": 1, "text": "", "domain": 0}])
def test_a_strangers_point_is_an_error(payload: dict[str, object] | None) -> None:
    with pytest.raises(StoreError, match="is no passage"):
        to_chunk("7", payload)


def test_vectors_must_fit_the_chunks() -> None:
    chunks = [make_chunk("one"), make_chunk("two")]
    dense, sparse = vectors_of(chunks)
    check_shapes(chunks, dense, sparse, 8)
    for bad_dense, bad_sparse in (
        (dense[:1], sparse),
        (dense[:, :4], sparse),
        (dense, sparse[:1]),
        (dense * np.nan, sparse),
    ):
        with pytest.raises(StoreError):
            check_shapes(chunks, bad_dense, bad_sparse, 8)
