"""SparseEmbedder: stems, stop words, and saturation."""

from __future__ import annotations

from council.retrieval.sparse import PAIR_WEIGHT, SparseEmbedder

BM25 = SparseEmbedder()


def test_forms_of_a_word_are_one_term_and_stop_words_none() -> None:
    assert set(BM25.embed_query("neutrons").indices) == set(BM25.embed_document("a Neutron").indices)
    assert BM25.embed_query("the of and").indices == ()


def test_a_query_weighs_its_terms_alike_and_a_document_by_frequency() -> None:
    query = BM25.embed_query("cat cat dog")
    assert sorted(query.values) == [PAIR_WEIGHT, PAIR_WEIGHT, 1.0, 1.0]  # cat cat, cat dog; cat, dog
    document = BM25.embed_document("cat cat dog")
    weights = dict(zip(document.indices, document.values, strict=True))
    (cat,) = BM25.embed_query("cat").indices
    (dog,) = BM25.embed_query("dog").indices
    assert weights[dog] < weights[cat] < 2 * weights[dog]


def shared(query: str, document: str) -> float:
    """What a document scores without inverse document frequency."""
    weights = dict(zip(*(lambda v: (v.indices, v.values))(BM25.embed_document(document)), strict=True))
    asked = BM25.embed_query(query)
    return sum(w * weights.get(i, 0.0) for i, w in zip(asked.indices, asked.values, strict=True))


def test_words_that_follow_each_other_count_more_than_the_same_words_apart() -> None:
    assert shared("carbon tax", "A carbon tax on imports of steel.") > shared("carbon tax", "A tax on imports of carbon steel.")
    assert shared("the tax on carbon", "tax carbon") == shared("tax carbon", "tax carbon")  # stop words come between nothing


def test_longer_passages_weigh_less() -> None:
    assert shared("ferry", "the ferry") > shared("ferry", "the ferry " + "and a long list of other boats and harbours " * 5)
