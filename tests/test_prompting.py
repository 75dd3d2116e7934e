from __future__ import annotations

import re
from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from council.config import PromptingConfig, load_config
from council.errors import ConfigError, QuestionError
from council.prompting import Prompt, TokenCount, build_prompt, rotate, to_ends
from council.types import Example, Passage
from specialists.config import EngineConfig
from specialists.prompt_format import Layout, Message, Quoting, Worked, fold, question_of, render_messages
from specialists.tokens import encode_chat, load_tokenizer, token_counter


def count_words(messages: Sequence[Message]) -> int:
    return sum(len(m["content"].split()) for m in messages)


SHIPPED = load_tokenizer("tests", "pocket:base")
COUNTERS: dict[str, TokenCount] = {
    "words": count_words,
    "pocket": token_counter(EngineConfig(name="e", model="pocket:base")),
    "estimate": token_counter(EngineConfig(name="far", kind="openai", model="good", options={"base_url": "http://x/v1"})),
}
HOSTILE = (
    *SHIPPED.all_special_tokens, "<|", "end", "|>", "<", "</", "/passage", "passage 1>", "</passage 1>", "<passage 2: x>",
    "<pas\u200bsage 1>",     "< / PASSAGE 1 >", "\uff1c/\uff50\uff41\uff53\uff53\uff41\uff47\uff45 1>", "</example 1>",
    "[1] T\n", "\n[2] title", "\nQuestion: Who?",
    "Example 1, an answer to another question:", "\n\n", "\n", "\x85", "\u2028",
)  # fmt: skip
SENTENCES = ("Ada met Dr. Lee. ", "It is 3.14 km long. ", "The ore is of J. K. Hall. ", "Is it? ", "\u6c34\u3002", "no end ")
TEXTS = st.lists(st.sampled_from(HOSTILE + SENTENCES * 4) | st.text(max_size=4), max_size=14).map("".join)
LINES = TEXTS.filter(bool)
PASSAGES = st.lists(st.tuples(TEXTS, TEXTS), max_size=9).map(
    lambda made: [Passage(id=f"p{i}", title=title, text=text) for i, (title, text) in enumerate(made)]
)
EXAMPLES = st.lists(st.builds(Example, question=LINES, answer=LINES, right=st.booleans(), why=TEXTS), max_size=3)
CONFIGS = st.builds(
    PromptingConfig, layout=st.sampled_from(get_args(Layout)), rotate=st.just(False), ends_from=st.integers(3, 8),
    quoting=st.sampled_from(get_args(Quoting)), example_share=st.sampled_from((0.1, 0.25, 0.6)),
).flatmap(lambda c: st.sampled_from([c, c.model_copy(update={"rotate": c.layout == "persona_first"})]))  # fmt: skip
PERSONA = "You read."


def made_passages(count: int) -> list[Passage]:
    return [Passage(id=str(i), title=f"T{i}", text="It is so. Or not.") for i in range(count)]


def rendered(question: str, prompt: Prompt, passages: Sequence[Passage], config: PromptingConfig, text: str | None = None) -> list[Message]:
    """The messages that `prompt` ought to be; `text`: of the trimmed passage."""
    known = {p.id: p for p in passages}
    shown = [(known[i].title, text if text is not None and i in prompt.trimmed else known[i].text) for i in prompt.shown]
    return render_messages(question, shown, PERSONA, config.layout, config.answers, config.quoting, worked(prompt.examples))


def worked(examples: Sequence[Example]) -> list[Worked]:
    return [Worked(e.question, e.answer, e.right, e.why) for e in examples]


@pytest.mark.parametrize("counter", COUNTERS)
@settings(max_examples=120, deadline=None)
@given(question=TEXTS, passages=PASSAGES, examples=EXAMPLES, config=CONFIGS, room=st.floats(-0.05, 1.05), turn=st.integers(0, 9))
def test_whatever_documents_hold(
    counter: str, question: str, passages: list[Passage], examples: list[Example], config: PromptingConfig, room: float, turn: int
) -> None:
    count, alone = COUNTERS[counter], render_messages(question, [], PERSONA, config.layout)
    everything = build_prompt(question, passages, PERSONA, 99_999, count, config, turn, examples)
    budget = count(alone) + int(room * (everything.tokens - count(alone)))
    if count(alone) > budget:
        with pytest.raises(QuestionError):
            build_prompt(question, passages, PERSONA, budget, count, config, turn, examples)
        return
    prompt = build_prompt(question, passages, PERSONA, budget, count, config, turn, examples)
    assert prompt.tokens == count(prompt.messages) <= budget
    assert question_of(prompt.messages) == fold(question)
    check_template(prompt.messages)
    check_fences(prompt, config)
    check_ranking(prompt, passages)
    taken = render_messages(question, [], PERSONA, config.layout, config.answers, config.quoting, worked(prompt.examples))
    assert count(taken) - count(alone) <= config.example_share * budget
    if prompt.trimmed:
        cut = fold(passages[len(prompt.shown) - 1].text)
        starts = [cut[:end] for end in range(1, len(cut)) if re.search(r"[.?\u3002][^\w\s]*$", cut[:end])]
        assert any(prompt.messages == rendered(question, prompt, passages, config, start) for start in starts)
    else:
        assert prompt.messages == rendered(question, prompt, passages, config)


def check_template(messages: Sequence[Message]) -> None:
    """What the texts hold opens no turn, and ends none."""
    special, empty = set(SHIPPED.all_special_ids), render_messages("", [], "")
    marks, expected = ([i for i in encode_chat(SHIPPED, m) if i in special] for m in (messages, empty))
    assert marks == expected


def check_fences(prompt: Prompt, config: PromptingConfig) -> None:
    """Each of what is shown stands between its two marks, and nothing else reads as one."""
    above = prompt.messages[-1]["content"].rpartition("\n")[0]  # the question is nobody's document
    if config.quoting == "fenced":
        shown = [*(f"example {n}" for n in range(1, len(prompt.examples) + 1)), *(f"passage {n}" for n in range(1, len(prompt.shown) + 1))]
        assert [a + b for a, b in re.findall(r"^<(/?)((?:passage|example) \d+)(?:: [^\n]*)?>$", above, re.M)] == [
            mark for name in shown for mark in (name, f"/{name}")
        ]
        assert len(re.findall(r"[<\uff1c]\W*(?:p\W*a\W*s\W*s\W*a\W*g\W*e|example|\uff50)", above, re.I)) == 2 * len(shown)


def check_ranking(prompt: Prompt, passages: Sequence[Passage]) -> None:
    """The best are shown, each once, and only the last of them may be trimmed."""
    kept = [p.id for p in passages[: len(passages) - prompt.dropped]]
    assert sorted(prompt.shown) == kept
    assert prompt.trimmed in ((), tuple(kept[-1:]))


@given(PASSAGES, st.integers(0, 20))
def test_rotation_keeps_every_passage_once(passages: list[Passage], turn: int) -> None:
    turned = rotate(passages, turn)
    assert sorted(p.id for p in turned) == sorted(p.id for p in passages)
    assert not passages or turned[0] is passages[turn % len(passages)]


@pytest.mark.parametrize("size", range(10))
def test_the_best_stand_at_the_ends_in_many_orders(size: int) -> None:
    passages = made_passages(size)
    orders = [[int(p.id) for p in to_ends(passages, turn)] for turn in range(2 ** (size // 2))]
    assert len({str(order) for order in orders}) == len(orders)
    for order in orders:
        depths = {rank: min(place, size - 1 - place) for place, rank in enumerate(order)}
        assert [depths[rank] for rank in range(size)] == [rank // 2 for rank in range(size)]


def test_from_seven_passages_on_the_best_are_at_the_ends() -> None:
    def orders(size: int, config: PromptingConfig, turns: Sequence[int]) -> list[str]:
        return ["".join(build_prompt("q", made_passages(size), "", 999, count_words, config, t).shown) for t in turns]

    assert orders(7, PromptingConfig(), (0, 1, 2)) == ["0246531", "1356420", "0346521"]
    assert orders(8, PromptingConfig(rotate=False), (0, 1)) == ["02467531", "02467531"]
    assert orders(6, PromptingConfig(), (0, 1, 2)) == ["012345", "123450", "234501"]
    assert orders(6, PromptingConfig(ends_from=6), (0,)) == ["024531"]


def test_members_see_different_orders() -> None:
    passages = made_passages(4)
    starts = {
        build_prompt("q", passages, "", 999, count_words, PromptingConfig(quoting="bare"), turn).messages[1]["content"].split("\n")[0]
        for turn in range(4)
    }
    assert starts == {"[1] T0", "[1] T1", "[1] T2", "[1] T3"}


def test_without_rotation_all_see_one_order() -> None:
    config = PromptingConfig(rotate=False, layout="passages_first")
    prompts = [build_prompt("q", made_passages(4), "", 999, count_words, config, turn) for turn in range(3)]
    assert len({str(p.messages) for p in prompts}) == 1


def test_rotation_and_a_shared_prefix_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match=r"prompting.*one order: set rotate to false too"):
        load_config("pocket", {"prompting.layout": "passages_first"})


def test_a_question_over_the_budget_is_refused() -> None:
    with pytest.raises(QuestionError, match=r"too long: .* the member reads 50"):
        build_prompt("why " * 60, [], "", 50, count_words, PromptingConfig())


def test_the_first_passage_that_does_not_fit_is_trimmed_at_a_sentence() -> None:
    text = "Ada kept it. Dr. Lee did not. Nobody else came."
    first, last = made_passages(2)
    passages = [first, Passage(id="cut", title="", text=text), last]
    config = PromptingConfig(quoting="bare", rotate=False)
    prompts = {budget: build_prompt("q", passages, "", budget, count_words, config) for budget in range(30, 60)}
    told = {b: p.messages[1]["content"].partition("[2] ")[2].partition("\n\n")[0] for b, p in prompts.items() if p.trimmed == ("cut",)}
    assert set(told.values()) == {"Ada kept it.", "Ada kept it. Dr. Lee did not."}
    assert all(prompts[b].shown == ("0", "cut") and prompts[b].dropped == 1 for b in told)
    least = min(told)
    assert prompts[least].tokens == least and prompts[least - 1].shown == ("0",)


def test_what_has_no_sentence_that_fits_is_dropped_with_all_after_it() -> None:
    first, last = made_passages(2)
    passages = [first, Passage(id="long", title="", text="word " * 99), last]
    prompt = build_prompt("q", passages, "", 90, count_words, PromptingConfig())
    assert (prompt.shown, prompt.trimmed, prompt.dropped) == (("0",), (), 2)


RIGHT = Example(question="Who kept the lamp?", answer="Bo", right=True)
LONG = Example(question="word " * 90, answer="Cy", right=True)
WRONG = Example(question="How tall is it?", answer="Red", right=False, why="That is a colour.")


def test_examples_take_no_more_than_their_share_whole_and_nearest_first() -> None:
    given = (RIGHT, LONG, WRONG)
    config = PromptingConfig(quoting="bare")
    assert build_prompt("q", made_passages(2), "", 400, count_words, config, examples=given).examples == (RIGHT, WRONG)
    assert build_prompt("q", made_passages(2), "", 70, count_words, config, examples=given).examples == (RIGHT,)
    all_in = config.model_copy(update={"example_share": 0.4})
    assert build_prompt("q", made_passages(2), "", 400, count_words, all_in, examples=given).examples == given


def test_examples_give_way_to_the_best_passage() -> None:
    passages, config = [Passage(id="0", title="", text="word " * 20)], PromptingConfig(quoting="bare", example_share=0.6)
    whole = build_prompt("q", passages, "", 99, count_words, config)
    assert build_prompt("q", passages, "", whole.tokens, count_words, config, examples=[RIGHT]) == whole
    assert build_prompt("q", [], "", whole.tokens, count_words, config, examples=[RIGHT]).examples == (RIGHT,)


def test_a_prompt_takes_few_counts() -> None:
    counted: list[int] = []

    def count(messages: Sequence[Message]) -> int:
        counted.append(count_words(messages))
        return counted[-1]

    passages = [Passage(id=str(i), title="", text="It is so. " * 50) for i in range(16)]
    build_prompt("q", passages, "", 99_999, count, PromptingConfig())
    assert len(counted) == 1
    assert build_prompt("q", passages, "", 1000, count, PromptingConfig()).trimmed
    assert len(counted) <= 1 + 5 + 7
