"""What runs were expected to take, against what they took: for the page and the crate."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.errors import DataError
from experiments.paths import Artifacts


@dataclass(frozen=True)
class Foretold:
    """One run.

    Attributes
    ----------
    predicted : seconds, before the run; ``None`` where nothing told them.
    took : seconds; ``None`` for a run that is not finished.
    source : what the prediction was made from, or what was missing.
    """

    run: str
    predicted: float | None
    took: float | None
    source: str


@dataclass(frozen=True)
class Total:
    """Runs of which both are known.

    Attributes
    ----------
    runs : how many.
    predicted, took : seconds of all of them.
    """

    runs: int
    predicted: float
    took: float

    @property
    def error(self) -> float:
        """How far off the prediction was, as a share of what it took; 0.25 is 25 % too much."""
        return self.predicted / self.took - 1 if self.took else 0.0


def foretold(artifacts: Artifacts | None = None) -> list[Foretold]:
    """Every run that something was expected of, in the order of the plan.

    Raises
    ------
    DataError
        ``predicted.json`` is damaged.
    """
    artifacts = artifacts or Artifacts()
    try:
        rows = json.loads(artifacts.predicted.read_text(encoding="utf-8"))["runs"]
        return [
            Foretold(
                name,
                row["seconds"],
                row.get("took_seconds", took(artifacts, name)),
                str(row.get("source", "")),
            )
            for name, row in rows.items()
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{artifacts.predicted} is damaged: remove it") from None


def total(rows: Sequence[Foretold]) -> Total:
    """Of the runs that were predicted and are finished."""
    both = [(row.predicted, row.took) for row in rows if row.predicted and row.took]
    return Total(len(both), sum(one for one, _ in both), sum(other for _, other in both))


def took(artifacts: Artifacts, name: str) -> float | None:
    """From its start to its result, to the second, where no command's clock told it."""
    folder = artifacts.run(name)
    try:
        began = json.loads(folder.run.read_text(encoding="utf-8"))["started"]
        ended = json.loads(folder.result.read_text(encoding="utf-8"))["finished"]
    except FileNotFoundError:
        return None
    first, last = map(datetime.datetime.fromisoformat, (began, ended))
    return (last - first).total_seconds()
