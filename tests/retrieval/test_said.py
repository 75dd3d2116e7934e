"""Said: what the council said is known again, and what people wrote never passes for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.errors import StoreError
from council.retrieval.said import APART, LONG, OPENING, SHINGLE, TEXTS, WINDOW, KeyFile, Said, fingerprints, shingles, words

QUESTION = "Who first codified Roman law under Justinian?"
ANSWER = "Tribonian"
REASON = (
    "Most members hold that the commission which the quaestor Tribonian led made the collection, since two of the passages name "
    "him as its head and none of them names anybody else who could have done as much of that work in so few years."
)
STATUTE = (
    "Whoever finds a thing that another has lost shall without delay report it to the loser or the owner, and where neither is "
    "known to the finder, to the authority of the place, unless the thing is worth no more than ten crowns."
)
FERRY = (
    "The ferry to Oskel leaves from the northern quay of the town every day at noon, and the crossing takes two hours. Tickets "
    "are sold in the harbour office, which opens an hour before the ship leaves, and on board from the purser."
)
FEW = st.lists(st.sampled_from(["a", "b", "c"]), max_size=30)
MANY = st.lists(st.text("bdefghjklmnopqrtuwz", min_size=1, max_size=8), min_size=LONG, max_size=60)


@pytest.fixture
def said() -> Iterator[Said]:
    made = Said(KeyFile(None))
    yield made
    made.close()


def is_own(said: Said, text: str, tenant: str = "default") -> bool:
    (own,) = said.recognise(tenant, [text])
    return own


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@given(FEW, FEW, st.lists(st.sampled_from("abcdefgh"), min_size=LONG, max_size=LONG + 5), FEW, FEW)
def test_texts_that_share_a_long_run_share_a_fingerprint_in_it(
    a: list[str], b: list[str], run: list[str], c: list[str], d: list[str]
) -> None:
    def within(before: list[str], after: list[str]) -> set[tuple[int, bytes]]:
        found = {(at - len(before), key) for at, key in fingerprints([*before, *run, *after], "t")}
        return {(at, key) for at, key in found if 0 <= at <= len(run) - SHINGLE}

    assert within(a, b) & within(c, d)


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_every_window_has_a_fingerprint_and_it_is_its_least(text: list[str]) -> None:
    hashes = shingles(text, "t")
    chosen = dict(fingerprints(text, "t"))
    assert all(hashes[at] == key for at, key in chosen.items())
    for start in range(len(hashes) - WINDOW + 1):
        window = range(start, start + WINDOW)
        assert min(hashes[at] for at in window) in [chosen.get(at) for at in window]


@given(MANY, st.data())
def test_every_long_piece_of_what_was_said_is_recognised(text: list[str], data: st.DataObject) -> None:
    said = Said(KeyFile(None))
    said.record("default", QUESTION, [" ".join(text)], [FERRY])
    start = data.draw(st.integers(0, len(text) - LONG))
    end = data.draw(st.integers(start + LONG, len(text)))
    assert is_own(said, ", ".join(text[start:end]).upper())


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "?", "a b c b a c c b a b c ?"]), max_size=40), max_size=3), st.data())
def test_what_the_members_were_shown_never_becomes_the_councils(passages: list[list[str]], data: st.DataObject) -> None:
    """Of so few words that questions, answers and quotations stand in the passages all the time."""
    texts = [" ".join(passage) for passage in passages]
    pool = " ".join([*texts, "c a b ? a a b"]).split()

    def piece() -> str:
        start = data.draw(st.integers(0, len(pool) - 1))
        return " ".join(pool[start : start + data.draw(st.integers(1, 30))])

    question, answers = piece(), [piece(), piece(), f"{piece()} d {piece()}"]
    said = Said(KeyFile(None))
    said.record("default", question, answers, texts)
    assert not any(said.recognise("default", texts))
    assert not is_own(said, question)
    # Together or alone, and whatever else was asked about.
    assert said.recognise("default", [*texts, FERRY]) == [False] * (len(texts) + 1)


@given(MANY, MANY)
def test_tenants_know_nothing_of_each_other(one: list[str], other: list[str]) -> None:
    said = Said(KeyFile(None))
    said.record("one", QUESTION, [" ".join(one), ANSWER], [])
    said.record("other", "What is the ferry's harbour?", [" ".join(other)], [])
    assert is_own(said, " ".join(one), "one") and is_own(said, f"{QUESTION} {ANSWER}", "one")
    assert not is_own(said, f"{QUESTION} {ANSWER}", "other")
    assert not {key for _, key in fingerprints(one, "one")} & {key for _, key in fingerprints(one, "other")}


def test_nothing_is_the_councils_before_it_said_anything(said: Said) -> None:
    assert said.recognise("default", []) == []
    assert said.recognise("default", [REASON, "", FERRY]) == [False, False, False]
    said.record("default", QUESTION, [], [FERRY])
    said.record("default", QUESTION, ["", "?!"], [])
    assert said.recognise("default", [REASON, "", "?!", QUESTION]) == [False] * 4


@pytest.mark.parametrize(
    "text",
    [
        f"{QUESTION}\n{ANSWER}",
        f"Minutes of Monday\nWe asked the council. Question: {QUESTION} Answer (agreement 0.83, 3 of 4 members): {ANSWER}. Then we left.",
        f"**{QUESTION.upper()}**\n\n> _{ANSWER.lower()}_",
        f'{{"question": "{QUESTION}", "answer": "{ANSWER}"}}',
        f"{ANSWER} (the answer to: {QUESTION})",
        f"{FERRY} {QUESTION} {ANSWER}. {FERRY}",
        f"{QUESTION} Nobody knew. {QUESTION} {ANSWER}!",
        "Who \ufb01rst codi\ufb01ed Roman law under \uff2austinian? Tri\u00adbonian",
    ],
)
def test_a_question_with_its_answer_is_the_councils(said: Said, text: str) -> None:
    said.record("default", QUESTION, [ANSWER, "Justinian himself"], [FERRY])
    assert is_own(said, text)


@pytest.mark.parametrize(
    "text",
    [
        QUESTION,
        ANSWER,
        f"{ANSWER} was a jurist of Pamphylia and the quaestor of Justinian, under whom Roman law was codified.",
        f"{QUESTION} Theophilus and Dorotheus did most of it.",
        f"{ANSWER}, who first codified Roman law under Justinian, died in 542.",
        f"Who first codified Roman law under Justinian's uncle? {ANSWER}.",
        f"{QUESTION} {'This is debated to the present day. ' * 2}Some of those who wrote of it name {ANSWER}.",
        f"What did the members say? {ANSWER}.",
    ],
)
def test_the_answer_or_the_question_alone_is_anybodys(said: Said, text: str) -> None:
    said.record("default", QUESTION, [ANSWER], [FERRY])
    assert not is_own(said, text)


def test_an_answer_counts_up_to_so_many_words_from_its_question_and_not_inside_it(said: Said) -> None:
    question = "Is it lead or gold that the ring is made of?"
    said.record("default", question, ["gold"], [])
    assert not is_own(said, f"{question} Lead.")
    assert not is_own(said, f"{question}\n{question} Lead.")
    for words_between, own in ((APART, True), (APART + 1, False)):
        assert is_own(said, f"{question} {'so ' * words_between} gold") is own
        assert is_own(said, f"gold {'so ' * words_between} {question}") is own


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("name the largest city of Denmark\nCopenhagen", True),
        ("Question: Name the largest city of Denmark. Answer: Copenhagen", True),
        ("Name the largest city of Denmark? Copenhagen", True),
        ("He could not name the largest city of Denmark, Copenhagen.", False),
        ("He was asked to name the largest city of Denmark. Copenhagen, he said.", False),
        ("Name the largest city of Denmark after Copenhagen.", False),
        ("Copenhagen: name the largest city of Denmark", False),
        ("name the largest city of Denmark", False),
    ],
)
def test_a_question_without_its_mark_stands_by_itself_and_before_its_answer(said: Said, text: str, own: bool) -> None:
    said.record("default", "name the largest city of Denmark", ["Copenhagen"], [])
    assert is_own(said, text) is own


def test_a_question_of_few_words_keeps_no_short_answer(said: Said) -> None:
    said.record("default", "Why not?", ["no money"], [])
    assert not is_own(said, "Why not? No money.")
    assert len(words("Who was Tribonian?")) == OPENING
    said.record("default", "Who was Tribonian?", ["a jurist"], [])
    assert is_own(said, "Who was Tribonian? A jurist.")


@pytest.mark.parametrize(("answer", "other"), [("5", "-5"), ("5", "0.5"), ("-5", "5"), ("10", "10,000"), ("12", "12:30")])
def test_a_number_keeps_its_sign_and_its_decimals(said: Said, answer: str, other: str) -> None:
    question = "How many degrees is it in Oskel?"
    said.record("default", question, [answer], [])
    assert is_own(said, f"{question} {answer}") and is_own(said, f"{question} It is {answer}.")
    assert not is_own(said, f"{question} {other}") and not is_own(said, f"{question} It is {other}.")


def test_the_answer_of_an_faq_stays_the_faqs(said: Said) -> None:
    faq = f"Roman law\n{QUESTION} It was {ANSWER}, whom he made his quaestor."
    said.record("default", QUESTION, [ANSWER], [FERRY, faq])
    assert said.recognise("default", [faq, f"{QUESTION} {ANSWER}"]) == [False, False]
    assert not is_own(said, f"{ANSWER}: {QUESTION}")
    said.record("default", QUESTION, ["Theophilus"], [f"Theophilus? {QUESTION}"])
    assert not is_own(said, f"{QUESTION} Theophilus")
    # That the question stands in one passage and the answer in another makes neither an FAQ.
    said.record("default", QUESTION, [ANSWER], [QUESTION, f"{ANSWER} was a jurist."])
    assert is_own(said, f"{QUESTION} {ANSWER}")


def test_a_quotation_stays_the_sources(said: Said) -> None:
    said.record("default", "What must a finder do?", [f"{REASON} {STATUTE}", STATUTE], [f"The code\n{STATUTE}"])
    cut = " ".join(STATUTE.split()[3:30])
    assert said.recognise("default", [STATUTE, cut, REASON, f"{cut} {REASON}"]) == [False, False, True, True]


def test_a_text_is_the_councils_from_half_of_its_words(said: Said) -> None:
    said.record("default", QUESTION, [REASON], [])
    length = len(words(REASON))
    assert is_own(said, f"{REASON} {' '.join(['more'] * (length - 6))}")
    assert not is_own(said, f"{REASON} {' '.join(['more'] * (length + 1))}")


def test_a_long_question_that_the_answer_repeats_stays_the_askers(said: Said) -> None:
    question = f"My neighbour says this: {STATUTE} Is that so?"
    said.record("default", question, [f"{question} {REASON}"], [])
    assert said.recognise("default", [question, STATUTE, REASON]) == [False, False, True]


def test_scripts_without_spaces_have_characters_for_words(said: Said) -> None:
    said.record("default", "谁写了红楼梦\uff1f", ["曹雪芹", "本委员会认为这部小说的作者是曹雪芹而不是别人"], [])
    assert said.recognise(
        "default", ["谁写了红楼梦? 曹雪芹。", "本委员会认为这部小说的作者是曹雪芹而不是别人。", "曹雪芹写了红楼梦。"]
    ) == [True, True, False]


def test_texts_are_judged_by_themselves_however_many_there_are(said: Said) -> None:
    said.record("default", QUESTION, [ANSWER, REASON], [])
    kinds = {REASON: True, FERRY: False, f"{QUESTION} {ANSWER}": True, QUESTION: False, "": False}
    texts = list(kinds) * (2 * TEXTS // len(kinds) + 1)
    assert said.recognise("default", texts) == [kinds[text] for text in texts]


def test_half_of_a_surrogate_pair_does_no_harm(said: Said) -> None:
    said.record("ten\ud800ant", QUESTION + "\udfff", [REASON + "\ud800"], ["\ud800"])
    assert is_own(said, "\ud800" + REASON, "ten\ud800ant")


def test_a_tenant_has_a_name(said: Said) -> None:
    for call in (lambda: said.record("", QUESTION, [ANSWER], []), lambda: said.recognise("", [FERRY])):
        with pytest.raises(StoreError, match="no name"):
            call()


def test_a_file_keeps_what_was_said_and_no_text(tmp_path: Path) -> None:
    path = tmp_path / "new" / "said.sqlite"
    said = Said(KeyFile(path))
    said.record("default", QUESTION, [ANSWER, REASON], [FERRY])
    said.close()
    said.close()
    with pytest.raises(StoreError, match="is closed: open it again"):
        said.recognise("default", [REASON])
    assert [p.name for p in path.parent.iterdir()] == ["said.sqlite"]
    content = path.read_bytes().lower()
    assert not any(word.encode() in content for word in words(REASON) if len(word) > 4)
    said = Said(KeyFile(path))
    assert said.recognise("default", [REASON, f"{QUESTION} {ANSWER}", FERRY]) == [True, True, False]
    said.close()


def test_keys_are_replaced_and_each_tenants_own() -> None:
    keys = KeyFile(None)
    many = {n.to_bytes(16, "big"): str(n).encode() for n in range(2500)}
    keys.add("one", many)
    keys.add("other", {bytes(16): b"else"})
    keys.add("one", {bytes(16): b"again"})
    assert keys.get("one", [*many, b"x" * 16]) == many | {bytes(16): b"again"}
    assert keys.get("other", many) == {bytes(16): b"else"}
    assert keys.get("one", []) == {} == keys.get("nobody", many)
    keys.close()


def test_threads_share_a_file(tmp_path: Path) -> None:
    said = Said(KeyFile(tmp_path / "said.sqlite"))
    questions = [f"What is number {n} of all of these?" for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda question: said.record("default", question, [ANSWER], []), questions))
        found = list(pool.map(lambda question: is_own(said, f"{question} {ANSWER}"), questions))
    said.close()
    assert found == [True] * 40


def test_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "said.sqlite"
    code = (
        "import sys; from pathlib import Path; from council.retrieval.said import KeyFile, Said\n"
        "said = Said(KeyFile(Path(sys.argv[1])))\n"
        "for n in range(30): said.record('default', f'What is number {n} of {sys.argv[2]}?', ['Tribonian'], [])\n"
        "said.close()\n"
    )
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda name: run(code, path, name), "abc"))
    assert [(d.returncode, d.stderr) for d in done] == [(0, "")] * 3
    said = Said(KeyFile(path))
    assert all(said.recognise("default", [f"What is number {n} of {name}? Tribonian" for n in range(30) for name in "abc"]))
    said.close()


@pytest.mark.parametrize(
    "content", [b"this is no database, but a text that is long enough to be one" * 20, b"SQLite format 3\0" + b"x" * 4096]
)
def test_a_file_that_is_no_database_says_what_to_do_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "said.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"said\.sqlite can't be opened: file is not a database; move the file away") as raised:
        KeyFile(path)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == content


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "said.sqlite"
    keys = KeyFile(path)
    many = {n.to_bytes(16, "big"): b"" for n in range(5000)}
    keys.add("default", many)
    keys.close()
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + b"\xff" * half)
    keys = KeyFile(path)
    with pytest.raises(StoreError, match=r"can't be read: .*move the file away"):
        keys.get("default", many)
    keys.close()


def test_a_path_that_is_no_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "said.sqlite"):
        with pytest.raises(StoreError, match=r"can't be opened: .*; see that its folder can be written to"):
            KeyFile(path)


def test_a_write_that_fails_keeps_what_was_there(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path; from council.errors import StoreError\n"
        "from council.retrieval.said import KeyFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "keys = KeyFile(Path(sys.argv[1])); keys.add('default', {bytes(16): b'first'})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try: keys.add('default', {n.to_bytes(16, 'big'): b'late' for n in range(5000)})\n"
        "except StoreError as exc: print(exc)\n"
        "print(keys.get('default', [bytes(16), (7).to_bytes(16, 'big')]))\n"
    )
    refused, after = run(code, tmp_path / "said.sqlite").stdout.splitlines()
    assert "can't be written" in refused and "see that its disk works and has room" in refused
    assert after == str({bytes(16): b"first"})


def test_a_full_disk_says_so_and_takes_writes_again_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    keys = None
    try:
        keys = KeyFile(disk / "said.sqlite")
        (disk / "other").write_bytes(bytes(200 << 10))
        many = {n.to_bytes(16, "big"): b"" for n in range(3000)}
        with pytest.raises(StoreError, match=r"can't be written: .*full; make room on its disk"):
            keys.add("default", many)
        assert keys.get("default", many) == {}
        (disk / "other").unlink()
        keys.add("default", many)
        assert keys.get("default", many) == many
    finally:
        if keys is not None:
            keys.close()
        subprocess.run(["umount", str(disk)], check=True)
