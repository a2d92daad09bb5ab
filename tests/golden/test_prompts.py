"""The prompts are those of the golden files, which a person has read."""

from __future__ import annotations

import pytest

from tests.golden.rendering import FOLDER, pages

PAGES = pages()
ASK = "python -m tests.golden.write"


def test_there_is_a_file_for_each_domain_and_intervention():
    assert set(FOLDER.rglob("*.txt")) == set(PAGES), f"`{ASK}` brings them in line"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_prompts_are_as_they_were_read(path):
    assert PAGES[path] == path.read_text(encoding="utf-8"), f"if this is meant: `{ASK}`"
