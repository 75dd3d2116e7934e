"""What members would be sent, without hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from council import Council
from council.config import load_config
from council.errors import QuestionError
from tests.conftest import MEMBERS


def test_prompts_are_rendered_for_every_member_without_starting_hosts(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Ferry\n\nThe ferry to Ostrel leaves at 07:40.\n", "utf-8")
    council = Council(load_config("pocket", {"retrieval.store.path": str(tmp_path / "store")}))
    try:
        council.index([tmp_path / "a.md"])
        prompts = council.prompts("When does the ferry leave?")
        assert list(prompts) == list(MEMBERS)
        assert all("07:40" in p[-1]["content"] and "Question: When does the ferry leave?" in p[-1]["content"] for p in prompts.values())
        with pytest.raises(QuestionError):
            council.prompts("why " * 2000)
    finally:
        council.close()
