"""SparseEmbedder: stems, stop words, and saturation."""

from __future__ import annotations

from council.retrieval.sparse import SparseEmbedder

BM25 = SparseEmbedder()


def test_forms_of_a_word_are_one_term_and_stop_words_none() -> None:
    assert set(BM25.embed_query("neutrons").indices) == set(BM25.embed_document("a Neutron").indices)
    assert BM25.embed_query("the of and").indices == ()


def test_a_query_weighs_its_terms_alike_and_a_document_by_frequency() -> None:
    assert set(BM25.embed_query("cat cat dog").values) == {1.0}
    document = BM25.embed_document("cat cat dog")
    weights = dict(zip(document.indices, document.values, strict=True))
    (cat,) = BM25.embed_query("cat").indices
    (dog,) = BM25.embed_query("dog").indices
    assert weights[dog] < weights[cat] < 2 * weights[dog]
