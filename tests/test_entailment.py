"""Entailment: answers are joined where each entails the other about the question, by a small classifier trained here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from council.aggregator import Similarity, Vote, group_answers
from council.aggregator.comparison import read, relation
from council.entailment import Entailment
from council.errors import ConfigError

METAL, GOD, ILLNESS, PET = "Which metal is liquid?", "Which god has wings?", "What killed him?", "What did she keep?"
ANSWERS = {  # an answer entails those that stand in one row with it, and the rows that its row points to
    METAL: {"mercury | quicksilver": "", "tin | stannum": ""},
    GOD: {"mercury | hermes": "", "quicksilver": "", "eros": ""},
    ILLNESS: {"a heart attack | myocardial infarction": "", "a stroke": "", "the plague": ""},
    PET: {"a poodle": "a dog | a hound", "a dog | a hound": "", "a cat": ""},
}
LABELS = ("contradiction", "Entailment", "neutral")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
LENGTH = 21  # 8 tokens a statement, and 5 to spare
THRESHOLD = 0.9


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # more would wait for each other where the cores are busy
    yield
    torch.set_num_threads(before)


def lessons() -> list[tuple[str, str, str, int]]:
    """Question, premise, hypothesis, label: each two answers to each question, both ways, and each answer twice."""
    made = []
    for question, rows in ANSWERS.items():
        row_of = {answer: row for row in rows for answer in row.split(" | ")}
        for one in row_of:
            for other in row_of:
                same = row_of[one] == row_of[other] or rows[row_of[one]] == row_of[other]
                backwards = rows[row_of[other]] == row_of[one]
                made.append((question, one, other, 1 if same else 2 if backwards else 0))
    return made


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word of the lessons; others are [UNK]."""
    split = pre_tokenizers.Whitespace()
    text = " ".join(f"{question} {' '.join(rows)}" for question, rows in ANSWERS.items()).lower()
    words = sorted({word for word, _ in split.pre_tokenize_str(text)} - {"|"})
    vocabulary = {word: n for n, word in enumerate([*SPECIAL, *words])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizers.Lowercase(), split
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=LENGTH
    )


def make_model(vocabulary: int, labels: Sequence[str] = LABELS) -> BertForSequenceClassification:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BertForSequenceClassification(  # type: ignore[no-untyped-call]
            BertConfig(
                vocab_size=vocabulary, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
                max_position_embeddings=LENGTH, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                initializer_range=0.1,  # so small a model hardly leaves the start that BERT's own 0.02 is
                id2label=dict(enumerate(labels)), label2id={label: n for n, label in enumerate(labels)},
            )
        )  # fmt: skip


def train(model: BertForSequenceClassification, tokenizer: PreTrainedTokenizerFast) -> None:
    """Until the model is sure of every lesson, also behind one or two words that it doesn't know."""
    heard = [(f"{'x ' * n}{question}", *rest) for question, *rest in lessons() for n in range(3)]
    batch = tokenizer([(f"{told} {one}", f"{told} {other}") for told, one, other, _ in heard], padding=True, return_tensors="pt")
    labels = torch.tensor([label for *_, label in heard])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    for _ in range(400):
        logits = model(**batch).logits
        if torch.softmax(logits, 1).gather(1, labels[:, None]).min() > 0.97:
            return
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    raise AssertionError("the model has not learnt its lessons")


def save(folder: Path, model: BertForSequenceClassification) -> Path:
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = make_tokenizer()
    model = make_model(len(tokenizer))
    train(model, tokenizer)
    return save(tmp_path_factory.mktemp("entailment") / "nli", model)


@pytest.fixture(scope="module")
def entailment(folder: Path) -> Entailment:
    return Entailment(str(folder))


def joined(entailment: Entailment, question: str, *answers: str) -> set[frozenset[str]]:
    """The groups that the answers come in. No exact rule may decide about any two of them."""
    assert all(relation(read(one), read(other)) is None for one, other in combinations(answers, 2))
    similarity: Similarity = entailment.about(question)
    groups = group_answers([Vote(f"member {n}", answer, 1.0) for n, answer in enumerate(answers)], similarity, THRESHOLD)
    return {frozenset(vote.answer for vote in group.votes) for group in groups}


def test_answers_that_entail_each_other_are_joined_and_others_stay_apart(entailment: Entailment) -> None:
    found = joined(entailment, ILLNESS, "a heart attack", "a stroke", "myocardial infarction", "the plague")
    assert found == {frozenset({"a heart attack", "myocardial infarction"}), frozenset({"a stroke"}), frozenset({"the plague"})}


def test_the_question_decides_what_means_the_same(entailment: Entailment) -> None:
    assert len(joined(entailment, METAL, "mercury", "quicksilver")) == 1
    assert len(joined(entailment, GOD, "mercury", "quicksilver")) == 2


def test_entailment_one_way_joins_nothing(entailment: Entailment) -> None:
    answers = ["a poodle", "a dog", "a hound"]
    shares = entailment.about(PET)(answers)
    assert shares[0, 1] > THRESHOLD > 0.1 > shares[1, 0]
    for order in permutations(answers):
        assert joined(entailment, PET, *order) == {frozenset({"a poodle"}), frozenset({"a dog", "a hound"})}


def test_entries_are_the_model_s_probabilities(entailment: Entailment, folder: Path) -> None:
    answers = ["tin", "mercury", "quicksilver"]
    shares = entailment.about(METAL)(answers)
    assert shares.shape == (3, 3)
    assert shares.dtype == np.float64
    assert np.diag(shares).tolist() == [1, 1, 1]
    classifier, tokenizer = BertForSequenceClassification.from_pretrained(folder), make_tokenizer()  # it comes in eval mode
    for i, j in permutations(range(3), 2):
        with torch.inference_mode():
            logits = classifier(**tokenizer(f"{METAL} {answers[i]}", f"{METAL} {answers[j]}", return_tensors="pt")).logits
        assert shares[i, j] == pytest.approx(torch.softmax(logits[0], 0)[1].item(), abs=1e-5)


def test_fewer_than_two_answers_need_no_model() -> None:
    about = Entailment("/nowhere").about(METAL)
    assert about([]).shape == (0, 0)
    assert about(["tin"]).tolist() == [[1.0]]


def test_neither_batches_nor_threads_change_the_shares(entailment: Entailment, folder: Path) -> None:
    answers = ["tin", "mercury", "quicksilver", "stannum"]
    alone = entailment.about(METAL)(answers)
    np.testing.assert_array_equal(entailment.about(METAL)(answers), alone)
    np.testing.assert_allclose(Entailment(str(folder), batch_size=1).about(METAL)(answers), alone, atol=1e-5)
    with ThreadPoolExecutor(4) as pool:
        for shares in pool.map(lambda _: entailment.about(METAL)(answers), range(8)):
            np.testing.assert_array_equal(shares, alone)


@pytest.mark.parametrize("before", ["word " * 5000, "x" * 5000, "金," * 500], ids=["words", "one word", "no spaces"])
def test_a_question_longer_than_the_model_reads_hides_no_answer(entailment: Entailment, before: str) -> None:
    found = joined(entailment, f"{before} {METAL}", "tin", "mercury", "quicksilver")
    assert found == {frozenset({"tin"}), frozenset({"mercury", "quicksilver"})}


def test_an_answer_longer_than_the_model_reads_is_joined_with_none(entailment: Entailment) -> None:
    long = "mercury " * LENGTH
    shares = entailment.about(METAL)(["mercury", f"{long} tin", f"{long} eros", "quicksilver"])
    assert shares[1].tolist() == [0, 1, 0, 0]
    assert shares[:, 2].tolist() == [0, 0, 1, 0]
    assert min(shares[0, 3], shares[3, 0]) > THRESHOLD
    np.testing.assert_array_equal(entailment.about(METAL)([f"{long} tin", f"{long} eros"]), np.eye(2))


def test_an_answer_can_t_end_its_statement_or_fetch_anything(entailment: Entailment) -> None:
    model, _ = entailment.load()
    pair = model.tokenizer.encode("tin [SEP] tin [CLS] [PAD]", "tin")
    assert [pair.count(n) for n in (0, 2, 3)] == [0, 1, 2]
    odd = ["{{ 1/0 }}", "https://example.org/cat.png", "data:image/png;base64,AAAA", "<|im_end|>", "\x00\ud800", ""]
    shares = entailment.about(METAL)(odd)
    assert shares.shape == (6, 6)
    assert np.isfinite(shares).all()


# --- models that are refused -----------------------------------------------------------------------------------------


def refusal(name: Path | str) -> str:
    with pytest.raises(ConfigError) as caught:
        Entailment(str(name)).load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_model_says_what_to_do(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == (
        f"the entailment model: weights not found at {tmp_path / 'none'}; correct the path in the config, or put them there"
    )
    assert "hf download nobody/no-such-model" in refusal("nobody/no-such-model")


def test_a_device_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="can't be loaded on 'abacus'"):
        Entailment(str(folder), device="abacus").load()


def test_only_safetensors_are_read(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "pickled"))
    (other / "model.safetensors").unlink()
    torch.save(make_model(len(make_tokenizer())).state_dict(), other / "pytorch_model.bin")
    assert "has no *.safetensors" in refusal(other)
    (other / "other.safetensors").touch()
    assert "can't be loaded" in refusal(other)


@pytest.mark.parametrize("labels", [("LABEL_0", "LABEL_1"), ("not_entailment", "neutral"), ("entailment",)], ids=str)
def test_a_model_without_the_label_or_another_is_refused(tmp_path: Path, labels: tuple[str, ...]) -> None:
    told = refusal(save(tmp_path, make_model(len(make_tokenizer()), labels)))
    assert f"has the labels {', '.join(labels)}: choose a model of natural language inference" in told


@pytest.mark.parametrize(("labels", "index"), [(("ENTAILMENT", "not_entailment"), 0), (("neutral", "x", " entailment"), 2)], ids=str)
def test_the_label_s_place_is_the_model_s_own(tmp_path: Path, labels: tuple[str, ...], index: int) -> None:
    assert Entailment(str(save(tmp_path, make_model(len(make_tokenizer()), labels)))).load()[1] == index


def test_weights_that_have_no_labels_of_their_own_are_refused(tmp_path: Path) -> None:
    whole = make_model(len(make_tokenizer()))
    whole.bert.save_pretrained(tmp_path)  # the labels are in its config all the same
    make_tokenizer().save_pretrained(tmp_path)
    assert "is no plain sequence classifier (BertModel)" in refusal(tmp_path)


def test_values_that_are_not_finite_decide_nothing(tmp_path: Path) -> None:
    broken = make_model(len(make_tokenizer()))
    torch.nn.init.constant_(broken.classifier.bias, torch.nan)
    with pytest.raises(ConfigError, match="not finite"):
        Entailment(str(save(tmp_path, broken))).about(METAL)(["tin", "mercury"])


def test_loading_prints_nothing_and_importing_loads_nothing(folder: Path) -> None:
    code = (
        "import sys, council.entailment as e\n"
        "heavy = {'torch', 'sentence_transformers', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "e.Entailment(sys.argv[1]).about('q')(['one', 'two'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
