"""The examples of ``docs/extending/``, taken out of their pages."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from experiments.paths import CHECKOUT

PAGES = CHECKOUT / "docs" / "extending"


def block(page: str, language: str) -> str:
    """The one block of a language on a page."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """``example(page)``: the page's Python, run as a module of its own."""

    def run(page: str) -> Any:
        module = ModuleType(f"docs_{page}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(block(page, "python"), f"{page}.md", "exec"), module.__dict__)
        return module

    return run
