"""Lines of code: what a line is, and what of an approach is its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.analysis import loc, output, reference
from experiments.errors import DataError, SpecError
from experiments.specs.load import approaches
from experiments.specs.loc import FileLists, Part, load
from tests.analysis.synthetic_runs import Label

CODE = '''"""A docstring
over two lines."""

import os  # not a comment line

# a comment
TEXT = """
in a string

"""


def name() -> str:
    """Another."""
    return (
        os.name
    )
'''


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_line_of_code(tmp_path: Path) -> None:
    assert loc.lines(write(tmp_path, "a.py", CODE)) == 8
    assert loc.lines(write(tmp_path, "a.sql", "-- why\n\nSELECT 1;\nSELECT 2; -- b\n")) == 2


def test_what_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"a\.control: lines of code are counted of \.py, \.sql files"
    ):
        loc.lines(write(tmp_path, "a.control", "superuser = true\n"))


def test_a_shared_part_counts_once_in_each_total_and_is_nobodys_own(tmp_path: Path) -> None:
    files = [write(tmp_path, f"{n}.py", "x = 1\n" * n) for n in (1, 2, 4)]
    parts = {
        "base": Part("base", "Base", "all", (files[0], files[1])),
        "extra": Part("extra", "Extra", "", (files[2],)),
    }
    lists = FileLists({"all": "All"}, parts, {"ma": ("base",), "ctq": ("base", "extra")}, {}, ())
    labels = {"ma": Label("MA", "MA"), "ctq": Label("CTQ", "CTQ")}
    table = loc.table(lists, labels, reference.load()["loc"])
    assert list(zip(table["approach"], table["part"], table["lines"], strict=True)) == [
        ("ma", "base", 3),
        ("ctq", "base", 3),
        ("ctq", "extra", 4),
    ]
    assert table["total"].to_list() == [3, 7, 7]
    assert table["group"].to_list() == ["all", "all", loc.OWN]
    assert table["paper_lines"].to_list()[1:] == [5939, 5939]
    assert loc.summary(table).loc["CTQ"].to_dict() == {
        "own": "4",
        "Base": "3",
        "Extra": "4",
        "total": "7",
        "paper": "5,939",
    }
    with pytest.raises(SpecError, match=r"loc\.toml: approach 'udaf' has no parts"):
        loc.table(lists, {"udaf": Label("UDAF", "UDAF")}, reference.load()["loc"])


def test_the_figure_of_this_checkout(tmp_path: Path) -> None:
    lists, paper = load(), reference.load()["loc"]
    table = loc.table(lists, approaches(), paper)
    assert set(table["approach"]) == set(approaches())
    assert (table["lines"] > 0).all()
    saved = output.save(loc.figure(table, lists, paper), table, "loc", tmp_path)
    assert all(path.stat().st_size > 2000 for path in saved.outputs)
