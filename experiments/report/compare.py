"""Two machines' verdicts beside each other: which claims fare differently, and which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import DataError
from experiments.paths import Artifacts
from experiments.report import verdicts
from experiments.report.verdict import Outcome
from experiments.report.verdicts import Judgement
from experiments.specs.load import nearest


@dataclass(frozen=True)
class Differs:
    """A claim that fares differently; an outcome is None where one side does not have it."""

    claim: str
    title: str
    first: Outcome | None
    second: Outcome | None


@dataclass(frozen=True)
class Comparison:
    """What two judgements differ in.

    Attributes
    ----------
    same : how many claims fare alike.
    settings : by name, the values of the first and of the second.
    """

    same: int
    claims: tuple[Differs, ...]
    settings: Mapping[str, tuple[str, str]]

    def to_json(self) -> dict[str, Any]:
        return {
            "same": self.same,
            "claims": [
                {
                    "claim": each.claim,
                    "title": each.title,
                    "first": each.first and str(each.first),
                    "second": each.second and str(each.second),
                }
                for each in self.claims
            ],
            "settings": {name: list(pair) for name, pair in self.settings.items()},
        }


def find(where: Path) -> Path:
    """The file of verdicts that a path means: itself, or that of a folder of artifacts.

    Raises
    ------
    DataError
        There is nothing of this name, or no verdicts in the folder.
    """
    if where.is_file():
        return where
    if not where.is_dir():
        known = [each.name for each in where.parent.glob("*") if _verdicts(each)]
        near = nearest("file or folder", where.name, known) if known else "is not there"
        raise DataError(f"{where}: {near}")
    found = _verdicts(where)
    if found is None:
        name = Artifacts(where).verdicts.relative_to(where)
        raise DataError(f"{where}: has no {name}; --verify writes it")
    return found


def _verdicts(where: Path) -> Path | None:
    """The file of verdicts in a folder of artifacts, of a checkout or of a report; or itself."""
    if where.is_file():
        return where if where.suffix == ".json" else None
    name = Artifacts(where).verdicts
    for path in (name, where / "artifacts" / name.relative_to(where), where / name.name):
        if path.is_file():
            return path
    return None


def compare(first: Judgement, second: Judgement) -> Comparison:
    """Claims and settings that differ, those of the first in their order."""
    ours, theirs = ({v.claim: v for v in one.verdicts} for one in (first, second))
    every = dict.fromkeys([*ours, *theirs])
    differs = tuple(
        Differs(
            claim,
            (ours.get(claim) or theirs[claim]).title,
            ours[claim].outcome if claim in ours else None,
            theirs[claim].outcome if claim in theirs else None,
        )
        for claim in every
        if claim not in ours or claim not in theirs or ours[claim].outcome != theirs[claim].outcome
    )
    mine, others = _settings(first), _settings(second)
    names = dict.fromkeys([*mine, *others])
    return Comparison(
        len(every) - len(differs),
        differs,
        {
            name: (mine.get(name, "–"), others.get(name, "–"))
            for name in names
            if mine.get(name) != others.get(name)
        },
    )


def _settings(judged: Judgement) -> dict[str, str]:
    each = {name: ", ".join(values) for name, values in judged.settings.items()}
    return {"scale": judged.scale, **each}


def compared(first: Path, second: Path) -> Comparison:
    """Two files or folders, compared.

    Raises
    ------
    DataError
        One has no verdicts.
    """
    return compare(verdicts.read(find(first)), verdicts.read(find(second)))
