"""Which files make up each approach, as ``loc.toml`` says."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import SpecError
from experiments.paths import PACKAGE, SPECS

COUNTED_ROOMS = ("approaches", "warehouse", "mop", "models")
"""Rooms of the package of which every file is in a list."""


@dataclass(frozen=True)
class Part:
    """Files that belong together.

    Attributes
    ----------
    group : what figures count it to where several approaches share it; empty for an approach's own.
    files : below the package, each in one part only.
    """

    id: str
    title: str
    group: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class FileLists:
    """All of ``loc.toml``.

    Attributes
    ----------
    groups : title by id, in the order of figures.
    parts : by id.
    approaches : ids of the parts of each approach.
    options : what an approach imports that is not counted, since the paper's does nothing like it.
    beside : files that no approach trains with.
    """

    groups: Mapping[str, str]
    parts: Mapping[str, Part]
    approaches: Mapping[str, tuple[str, ...]]
    options: Mapping[str, tuple[Path, ...]]
    beside: tuple[Path, ...]

    def users(self, part: str) -> tuple[str, ...]:
        """The approaches that a part belongs to."""
        return tuple(name for name, parts in self.approaches.items() if part in parts)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of every list."""
        return (*(path for part in self.parts.values() for path in part.files), *self.beside)


def load(path: Path = SPECS / "loc.toml") -> FileLists:
    """The lists, checked.

    Raises
    ------
    SpecError
        A file is not there or in two lists, an approach names a part that does not exist or one
        twice, a part is nobody's, or a shared part has no group.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    lists = FileLists(
        groups=table["groups"],
        parts={
            key: Part(key, row["title"], row.get("group", ""), _files(row["files"]))
            for key, row in table["parts"].items()
        },
        approaches={key: tuple(parts) for key, parts in table["approaches"].items()},
        options={key: _files(names) for key, names in table.get("options", {}).items()},
        beside=_files([name for names in table["beside"].values() for name in names]),
    )
    for fault in _faults(lists):
        raise SpecError(f"{path}: {fault}")
    return lists


def _files(names: list[str]) -> tuple[Path, ...]:
    return tuple(PACKAGE / name for name in names)


def _faults(lists: FileLists) -> list[str]:
    """What is wrong, in words."""
    options = [file for files in lists.options.values() for file in files]
    found = [f"{file} is not there" for file in (*lists.files, *options) if not file.is_file()]
    found += [
        f"{file} is listed twice" for file, times in Counter(lists.files).items() if times > 1
    ]
    for approach, parts in lists.approaches.items():
        found += [f"{approach} names part {part!r} twice" for part in _doubles(parts)]
        found += [
            f"{approach} names {part!r}, no part" for part in parts if part not in lists.parts
        ]
    for part in lists.parts.values():
        users = lists.users(part.id)
        if not users:
            found.append(f"no approach names part {part.id!r}")
        if len(users) > 1 and part.group not in lists.groups:
            found.append(f"part {part.id!r} is shared and of group {part.group!r}, no group")
    return found


def _doubles(names: tuple[str, ...]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]
