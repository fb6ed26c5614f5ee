"""Judgements: levels exist, reasons are there, and places between two levels have words."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.errors import SpecError
from experiments.specs import judgements

SPEC = """
[axes.ease]
title = "ease"
levels = ["Low", "High"]
[one]
ease = { level = "High", reason = "because" }
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "judgements.toml"
    path.write_text(text)
    return path


def test_a_judgement_is_a_level_with_a_reason(tmp_path: Path) -> None:
    found = judgements.load(write(tmp_path, SPEC))
    assert found.get("one", "ease") == judgements.Judgement("High", "because")
    assert found.get("two", "ease") is None
    assert found.axes["ease"].place("High") == 1
    assert [found.axes["ease"].words(place) for place in (0, 0.5, 1)] == ["Low", "Low–High", "High"]


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('"High", reason', '"Higher", reason', "one.ease: level 'Higher' is none of Low, High"),
        ("ease = {", "pace = {", "one.pace: no such axis"),
        ('"because"', '""', "one.ease: a judgement needs a reason"),
        (', reason = "because"', "", "cannot be used"),
        ('title = "ease"', "", "cannot be used"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, before: str, after: str, complaint: str) -> None:
    assert before in SPEC
    with pytest.raises(SpecError, match=complaint):
        judgements.load(write(tmp_path, SPEC.replace(before, after)))
