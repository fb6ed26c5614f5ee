"""What the database says was done: which segment holds which states, and every visit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from experiments.errors import DataError
from experiments.models.worker import TRAIN, TRAINING_PASS, VALID, Report
from experiments.warehouse.units import MERGE

_ORDER = (TRAIN, MERGE, TRAINING_PASS, VALID)


class Step(NamedTuple):
    """Something a segment does for a model in an epoch: a kind of unit, or merge."""

    kind: str
    model: int
    partition: int
    epoch: int


@dataclass(frozen=True)
class Visit:
    """A step that was committed: the version it wrote (train, merge) or read (evaluations)."""

    step: Step
    version: int
    report: Report

    @property
    def seconds(self) -> float:
        """From the start of its first span to the end of its last."""
        spans = self.report["spans"]
        start, end = min(span[1] for span in spans), max(span[2] for span in spans)
        return float(end - start) / 1e9


class Record:
    """States and visits, as read once and kept up to date by whoever adds to them.

    Parameters
    ----------
    states : (segment, model, version) of every state that is whole.
    visits : in any order.
    """

    def __init__(
        self, states: Iterable[tuple[int, int, int]], visits: Iterable[Visit], models: int
    ) -> None:
        self._holders: list[dict[int, list[int]]] = [defaultdict(list) for _ in range(models)]
        self._visits: dict[Step, Visit] = {}
        for segment, model, version in states:
            self.hold(segment, model, version)
        for visit in sorted(visits, key=_when):
            self.add(visit)

    def hold(self, segment: int, model: int, version: int) -> None:
        """A segment holds a version."""
        self._holders[model][version].append(segment)

    def add(self, visit: Visit) -> None:
        """A visit was committed."""
        self._visits[visit.step] = visit

    def __contains__(self, step: Step) -> bool:
        return step in self._visits

    def __getitem__(self, step: Step) -> Visit:
        return self._visits[step]

    def visits(self) -> Iterator[Visit]:
        """All of them, by epoch, kind and version; what came after is after what it needed."""
        return iter(self._visits.values())

    def versions(self, model: int) -> list[int]:
        """Versions of a model that some segment holds, lowest first."""
        return sorted(self._holders[model])

    def holder(self, model: int, version: int) -> int:
        """A segment that holds a version.

        Raises
        ------
        DataError
            None does.
        """
        holders = self._holders[model].get(version)
        if not holders:
            raise DataError(
                f"no segment holds version {version} of model {model}, although the database says "
                "that it was made; run again with --fresh"
            )
        return holders[0]

    def require(self, known: Iterable[Step]) -> None:
        """Raise :class:`DataError` if the caller knows of a step that the database does not."""
        for step in known:
            if step not in self._visits:
                raise DataError(
                    f"the journal says that {step.kind} of model {step.model} on partition "
                    f"{step.partition} in epoch {step.epoch} is finished, but the database does "
                    "not; run again with --fresh"
                )


def _when(visit: Visit) -> tuple[int, int, int, int, int]:
    step = visit.step
    return step.epoch, _ORDER.index(step.kind), visit.version, step.model, step.partition


def visit_of(row: Mapping[str, Any], report: Report) -> Visit:
    """A row of the visit table as a value."""
    step = Step(row["kind"], row["mst_key"], row["__dist_key__"], row["epoch"])
    return Visit(step, row["version"], report)
