"""The pocket models' tokenizer: byte-level BPE trained on the exercises, with their chat template."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from specialists.prompt_format import DO_NOT_KNOW, render_messages
from specialists.training.documents import make_document_exercise
from specialists.training.reading import make_exercise
from specialists.training.words import load_yaml

PAD, END, SYSTEM, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL: Final = [PAD, END, SYSTEM, USER, ASSISTANT]
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}{{ ' ' if message['role'] == 'assistant' }}"
    "{{ message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
MAX_LENGTH: Final = 1024


def _corpus(exercises: int, seed: int) -> Iterator[str]:
    rng = Random(seed)
    for number in range(exercises):
        make = make_exercise if number % 2 else make_document_exercise
        exercise = make(rng, rng.randint(1, 5))
        messages = render_messages(DO_NOT_KNOW, exercise.passages, exercise.persona, exercise.layout)
        yield "\n".join(m["content"] for m in messages)
        yield "\n".join(f"{question} {answer}" for question, answer in exercise.questions)
    for words in load_yaml("words").values():
        for listed in (words, [str(w).capitalize() for w in words]):
            yield " " + " ".join(map(str, listed))


def train_tokenizer(vocab_size: int = 4096, exercises: int = 6000, seed: int = 7) -> PreTrainedTokenizerFast:
    """A byte-level BPE of `vocab_size` tokens, learned from generated exercises and the word lists alone."""
    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_corpus(exercises, seed), trainer)
    wrapped: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        model_max_length=MAX_LENGTH, clean_up_tokenization_spaces=False, padding_side="left",
    )  # fmt: skip
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def load_or_train(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer saved in `folder`; trained and saved there first if there is none."""
    if not (folder / "tokenizer.json").exists():
        train_tokenizer().save_pretrained(folder)
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return loaded
