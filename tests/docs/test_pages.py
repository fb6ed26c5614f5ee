"""The pages name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.paths import CHECKOUT
from tests.docs.conftest import PAGES

DOCS = sorted((CHECKOUT / "docs").rglob("*.md"))
PATH = re.compile(r"`((?:experiments|tests|docs|images|papermill_notebooks)/[\w/.-]+)`")


def test_the_index_names_every_page() -> None:
    index = (CHECKOUT / "docs" / "extending.md").read_text(encoding="utf-8")
    linked = re.findall(r"\(extending/([\w-]+)\.md\)", index)
    assert sorted(linked) == sorted(page.stem for page in PAGES.glob("*.md"))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [name for name in PATH.findall(text) if not (CHECKOUT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_is_one_screen_or_two(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert 25 <= len(lines) <= 85
    assert max(map(len, lines)) <= 110
