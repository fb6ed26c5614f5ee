"""Stated judgements of approaches, with their reasons (``judgements.toml``)."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import SpecError
from experiments.paths import SPECS


@dataclass(frozen=True)
class Axis:
    """Something to judge by: ``levels`` go from the lowest to the highest, counted from 0."""

    title: str
    levels: tuple[str, ...]

    def place(self, level: str) -> int:
        """The number of a level."""
        return self.levels.index(level)

    def words(self, place: float) -> str:
        """A level, or two with a dash where ``place`` lies between them."""
        low, high = math.floor(place), math.ceil(place)
        return "–".join(dict.fromkeys((self.levels[low], self.levels[high])))


@dataclass(frozen=True)
class Judgement:
    """What we think of an approach on one axis, and why."""

    level: str
    reason: str


@dataclass(frozen=True)
class Judgements:
    """All of ``judgements.toml``: axes by id, and judgements by approach and axis.

    An approach that lies outside of the database has none of its anti-patterns, and no such entry.
    """

    axes: Mapping[str, Axis]
    of: Mapping[str, Mapping[str, Judgement]]

    def get(self, approach: str, axis: str) -> Judgement | None:
        """What is said of an approach; nothing where the axis does not apply."""
        return self.of.get(approach, {}).get(axis)


def load(path: Path = SPECS / "judgements.toml") -> Judgements:
    """The judgements, checked.

    Raises
    ------
    SpecError
        A judgement is of no axis, has a level that its axis lacks, or has no reason.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        axes = {
            key: Axis(row["title"], tuple(row["levels"])) for key, row in table.pop("axes").items()
        }
        found = {
            approach: {axis: Judgement(**row) for axis, row in rows.items()}
            for approach, rows in table.items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise SpecError(f"{path}: cannot be used ({error!r})") from None
    for approach, rows in found.items():
        for axis, judgement in rows.items():
            if axis not in axes:
                raise SpecError(f"{path}: {approach}.{axis}: no such axis")
            if judgement.level not in axes[axis].levels:
                known = ", ".join(axes[axis].levels)
                raise SpecError(
                    f"{path}: {approach}.{axis}: level {judgement.level!r} is none of {known}"
                )
            if not judgement.reason:
                raise SpecError(f"{path}: {approach}.{axis}: a judgement needs a reason")
    return Judgements(axes, found)
