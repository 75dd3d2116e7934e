"""Reranking with a cross-encoder that is trained here to like passages on tides, whatever the question."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from council.config import RerankConfig, RetrievalConfig
from council.errors import ConfigError
from council.retrieval import Embedder, Retriever
from council.retrieval.rerank import Reranker
from council.types import Question

WORDS = ("tide", "gold", "bee", "tax", "star", "rust")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def make_tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({word: n for n, word in enumerate([*SPECIAL, *WORDS])}, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=32
    )


def make_model(labels: int) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=40, id2label={n: f"label {n}" for n in range(labels)},
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return BertForSequenceClassification(config)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, tokenizer, model = tmp_path_factory.mktemp("reranker"), make_tokenizer(), make_model(1)
    pairs = [(q, f"{a} {b}") for q in WORDS[:2] for a in WORDS for b in WORDS]
    batch = tokenizer([q for q, _ in pairs], [t for _, t in pairs], return_tensors="pt", padding=True)
    wanted = torch.tensor([float("tide" in text) for _, text in pairs])
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(80):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(**batch).logits[:, 0], wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.2
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def reranker(folder: Path) -> Iterator[Reranker]:
    yield Reranker(RerankConfig(model=str(folder)))


def test_scores_are_probabilities_of_what_it_was_trained_for(reranker: Reranker) -> None:
    scores = reranker.score("gold", ["gold bee", "tax tide", "rust star"])
    assert scores.shape == (3,) and ((scores >= 0) & (scores <= 1)).all()
    assert scores.argmax() == 1 and scores[1] > 0.5 > scores[0]
    assert reranker.score("gold", []).shape == (0,)


def test_the_best_candidates_are_ranked_anew(folder: Path, embedder: Embedder, tmp_path: Path) -> None:
    texts = ["Of gold and of a star, told at length.", "The tide, in one word.", "Bee and tax and rust are in this one."]
    (tmp_path / "texts.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    plain = RetrievalConfig.model_validate({"store": {"path": str(tmp_path / "s")}, "top_k": 1, "min_likeness": 0})
    with Retriever(plain, embedder=embedder) as retriever:
        retriever.index([tmp_path / "texts.jsonl"])
        asked = Question(text="What of gold and a star?")
        before = retriever.retrieve(asked)
    ranked = plain.model_copy(update={"rerank": RerankConfig(model=str(folder))})
    with Retriever(ranked, embedder=embedder) as retriever:
        after = retriever.retrieve(asked)
    assert before[0].text != texts[1] and [p.text for p in after] == [texts[1]]
    assert before[0].score != after[0].score


@pytest.mark.parametrize("model", ["/no/such/folder", "nobody/no-such-model"])
def test_a_model_that_is_not_there_is_one_clear_error(model: str) -> None:
    with pytest.raises(ConfigError, match="the reranker"):
        Reranker(RerankConfig(model=model)).load()


def test_a_model_of_several_scores_is_refused(tmp_path: Path) -> None:
    make_model(3).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="3 scores a passage, not one"):
        Reranker(RerankConfig(model=str(tmp_path))).load()
