"""split: nothing is lost, nothing is too long, nothing is repeated without need."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from council.retrieval.splitting import Piece, sentences, split


def count(text: str) -> int:
    """A token for every five characters of a word, at least one."""
    return sum(-(-len(word) // 5) for word in text.split())


WORDS = st.one_of(
    st.from_regex(r"[a-zA-Z]{1,12}", fullmatch=True),
    st.sampled_from(["end.", "Dr.", "what?", "3.5", "no!", "Then", "e.g.", "(aside)", '"quoted."', "naïve", "日本"]),
)
GAPS = st.sampled_from([" ", " ", " ", "\n", "\n\n", "  \n \n", "\t"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    words = draw(st.lists(WORDS, max_size=120))
    return "".join(word + draw(GAPS) for word in words)


@st.composite
def limits(draw: st.DrawFn) -> tuple[int, int]:
    limit = draw(st.integers(4, 60))
    return limit, draw(st.integers(0, limit // 2))


def covers(words: list[str], pieces: list[Piece], overlap: int) -> bool:
    """Whether the pieces are slices of the words, each beginning where the last ended or at most `overlap` before."""
    ends = {0}
    for piece in pieces:
        mine = piece.text.split()
        ends = {
            start + len(mine)
            for end in ends
            for start in range(max(0, end - overlap), end + 1)
            if words[start : start + len(mine)] == mine and start + len(mine) > end
        }
    return len(words) in ends


@given(texts(), limits())
def test_every_word_is_in_some_piece_in_order_and_no_piece_is_too_long(text: str, sizes: tuple[int, int]) -> None:
    limit, overlap = sizes
    pieces = split(text, "title", limit, overlap, count)
    assert covers(text.split(), pieces, overlap)
    assert all(count(piece.text) <= limit for piece in pieces)
    assert all(piece.title == "title" for piece in pieces)


@given(texts(), limits())
def test_a_counter_that_counts_the_gaps_is_obeyed_too(text: str, sizes: tuple[int, int]) -> None:
    limit, overlap = sizes[0] + 16, sizes[1]
    pieces = split(text, "", limit, overlap, len)
    assert all(len(piece.text) <= limit for piece in pieces)
    assert covers(text.split(), pieces, overlap)


@given(texts(), limits())
def test_without_overlap_pieces_are_the_text(text: str, sizes: tuple[int, int]) -> None:
    pieces = split(text, "", sizes[0], 0, count)
    assert [word for piece in pieces for word in piece.text.split()] == text.split()


@given(texts(), limits())
def test_a_text_that_fits_is_one_piece(text: str, sizes: tuple[int, int]) -> None:
    pieces = split(text, "t", max(1, count(text)), sizes[1], count)
    assert [piece.text for piece in pieces] == ([text.strip()] if text.strip() else [])


@st.composite
def markdown(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.tuples(st.integers(0, 6), WORDS, texts()), max_size=8))
    return "\n".join(f"{'#' * level} {head}\n{body}" if level else body for level, head, body in parts)


@given(markdown(), limits())
def test_markdown_loses_no_word_and_obeys_the_limit(text: str, sizes: tuple[int, int]) -> None:
    pieces = split(text, "Title", sizes[0], sizes[1], count, markdown=True)
    assert all(count(piece.text) <= sizes[0] for piece in pieces)
    seen = {word.rstrip(":") for piece in pieces for word in f"{piece.title} {piece.text}".split()}
    wanted = {word for word in text.replace("#", " ").split()}
    assert wanted <= seen


def test_sections_carry_their_headings_and_never_share_a_piece() -> None:
    text = "# Birds\nBirds have feathers.\n\n## Owls\nOwls hunt at night.\n\n"
    text += "## Ducks\nDucks swim on lakes.\n\n# Fish\nFish swim."
    assert split(text, "Birds", 5, 0, count, markdown=True) == [
        Piece("Birds", "Birds have feathers."),
        Piece("Birds: Owls", "Owls hunt at night."),
        Piece("Birds: Ducks", "Ducks swim on lakes."),
        Piece("Birds: Fish", "Fish swim."),
    ]
    (whole,) = split(text, "Birds", 100, 0, count, markdown=True)
    assert whole.title == "Birds"
    assert whole.text.startswith("Birds have feathers.\n\nOwls\n\nOwls hunt")


def test_a_hash_in_code_or_in_plain_text_is_no_heading() -> None:
    code = "# Make\nRun this now:\n```\n# a comment\nmake all targets\n```"
    assert {piece.title for piece in split(code, "Make", 4, 0, count, markdown=True)} == {"Make"}
    assert split("# one two three\nfour five six", "t", 4, 0, count)[0].text.startswith("# one")


def test_paragraphs_are_kept_together_before_sentences() -> None:
    text = "One two. Three four.\n\nFive six. Seven eight."
    assert [p.text for p in split(text, "", 6, 0, count)] == ["One two. Three four.", "Five six. Seven eight."]


def test_overlap_is_whole_sentences_where_they_fit_and_words_where_not() -> None:
    text = "Aa bb cc dd. Ee ff. Gg hh ii jj kk ll."
    assert [p.text for p in split(text, "", 8, 2, count)] == ["Aa bb cc dd. Ee ff.", "Ee ff. Gg hh ii jj kk ll."]
    text = "Aa bb cc dd ee ff. Gg hh ii jj kk."
    assert [p.text for p in split(text, "", 7, 2, count)] == ["Aa bb cc dd ee ff.", "ee ff. Gg hh ii jj kk."]


def test_a_giant_word_is_cut() -> None:
    pieces = split(f"before {'x' * 5000} after", "", 20, 0, lambda text: len(text.split()))
    assert max(len(word) for piece in pieces for word in piece.text.split()) <= 512
    assert sum(piece.text.count("x") for piece in pieces) == 5000


def test_abbreviations_and_decimals_end_no_sentence() -> None:
    assert sentences("Dr. Smith paid 3.5 dollars. J. Doe (see Fig. 2) did not! Why?") == [
        "Dr. Smith paid 3.5 dollars.",
        "J. Doe (see Fig. 2) did not!",
        "Why?",
    ]


def test_an_overlap_that_fits_only_without_its_gap_is_left_out() -> None:
    text = "Aaaa bb ccc ddd. Eeee ffff ggggg."
    assert [p.text for p in split(text, "", 20, 8, len)] == ["Aaaa bb ccc ddd.", "Eeee ffff ggggg."]
