"""The file lists for counting lines: nothing is missing, nothing counts twice, imports agree."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from experiments.errors import SpecError
from experiments.paths import PACKAGE
from experiments.specs import loc
from experiments.specs.load import approaches

SPEC = """
[groups]
shared = "Shared"
[parts.a]
title = "A"
group = "shared"
files = ["mop/unit.py"]
[parts.b]
title = "B"
files = ["mop/visits.py"]
[approaches]
one = ["a", "b"]
two = ["a"]
[beside]
tools = ["mop/theory.py"]
"""


@pytest.fixture(scope="module")
def lists() -> loc.FileLists:
    return loc.load()


def test_every_module_of_the_counted_rooms_is_in_one_list(lists: loc.FileLists) -> None:
    modules = {
        path
        for room in loc.COUNTED_ROOMS
        for path in (PACKAGE / room).rglob("*.py")
        if path.read_bytes().strip()
    }
    assert modules <= set(lists.files)
    assert len(lists.files) == len(set(lists.files))


def test_every_approach_has_its_lists(lists: loc.FileLists) -> None:
    assert list(lists.approaches) == list(approaches())


@pytest.mark.parametrize("approach", approaches())
def test_an_approach_counts_the_modules_of_its_room_that_it_imports(
    lists: loc.FileLists, approach: str
) -> None:
    counted = {file for key in lists.approaches[approach] for file in lists.parts[key].files}
    start = PACKAGE / "approaches" / f"{approaches()[approach].module}.py"
    needed = {path for path in imported(start) if path.read_bytes().strip()}
    assert start in counted
    assert needed <= counted | set(lists.options.get(approach, ()))


def imported(start: Path) -> set[Path]:
    """Modules of the room ``approaches`` that one imports, at any depth."""
    found: set[Path] = set()
    pending = [start]
    while pending:
        path = pending.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                files = [PACKAGE.parent.joinpath(*name.split(".")) for name in names]
                pending += [
                    file.with_suffix(".py")
                    for file in files
                    if file.parent == start.parent and file.with_suffix(".py").is_file()
                ]
    return found


def test_what_one_approach_alone_has_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "loc.toml"
    path.write_text(SPEC)
    lists = loc.load(path)
    assert lists.users("a") == ("one", "two")
    assert lists.users("b") == ("one",)
    assert [file.name for file in lists.files] == ["unit.py", "visits.py", "theory.py"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mop/visits.py", "mop/no_such.py", r"loc\.toml: .*no_such\.py is not there"),
        ("mop/visits.py", "mop/unit.py", r"unit\.py is listed twice"),
        ("mop/theory.py", "mop/unit.py", r"unit\.py is listed twice"),
        ('two = ["a"]', 'two = ["a", "a"]', "two names part 'a' twice"),
        ('two = ["a"]', 'two = ["c"]', "two names 'c', no part"),
        ('one = ["a", "b"]', 'one = ["a"]', "no approach names part 'b'"),
        ('two = ["a"]', 'two = ["a", "b"]', "part 'b' is shared and of group '', no group"),
    ],
)
def test_lists_that_do_not_hold_together(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "loc.toml"
    assert old in SPEC
    path.write_text(SPEC.replace(old, new))
    with pytest.raises(SpecError, match=message):
        loc.load(path)
