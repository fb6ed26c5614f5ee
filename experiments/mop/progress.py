"""How far a run has come, read from its journal and kept up to date while it goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.errors import DataError
from experiments.models.measures import Ranks, add_ranks, roc_area
from experiments.models.worker import SPLIT_OF
from experiments.mop.state import UnitTimes
from experiments.mop.unit import Kind, Unit, UnitResult
from experiments.telemetry.journal import Event, Journal, number


@dataclass(frozen=True)
class Score:
    """What one evaluation unit, or a whole evaluation, found: means over ``rows`` rows."""

    rows: int
    loss: float
    metrics: Mapping[str, float]
    ranks: Ranks = field(default_factory=dict)

    @classmethod
    def of(cls, result: UnitResult) -> Score:
        """What a finished unit of evaluation found."""
        return cls(result.rows, result.loss, result.metrics, result.ranks)

    @classmethod
    def read(cls, detail: Mapping[str, Any]) -> Score:
        """What the ``unit_finished`` mark of an evaluation says, or of one at a unit's end."""
        return cls(
            int(detail["rows"]), float(detail["loss"]), detail["metrics"], detail.get("ranks", {})
        )

    def detail(self) -> dict[str, float | str]:
        """What an ``evaluated`` mark says of it; with two classes the area under the ROC curve."""
        found: dict[str, float | str] = {"rows": self.rows, "loss": number(self.loss)}
        if self.ranks:
            found["auc"] = number(roc_area(self.ranks))
        return {**found, **self.metrics}

    def mark(self, journal: Journal, model: int, epoch: int, kind: Kind) -> None:
        """Journal this as a model's evaluation in an epoch."""
        means: dict[str, Any] = self.detail()
        journal.append("evaluated", model=model, epoch=epoch, split=SPLIT_OF[kind], **means)


def pool(scores: Mapping[int, Score]) -> Score:
    """The mean over all rows of all partitions; the order of completion does not change it.

    Parameters
    ----------
    scores : partition to what was found there.
    """
    parts = [scores[partition] for partition in sorted(scores)]
    rows = sum(part.rows for part in parts)
    if rows == 0:
        raise DataError("there are no rows to evaluate on: the validation set is empty")
    names = [name for name in parts[0].metrics if all(name in part.metrics for part in parts)]
    return Score(
        rows,
        sum(part.rows * part.loss for part in parts) / rows,
        {name: sum(part.rows * part.metrics[name] for part in parts) / rows for name in names},
        add_ranks(part.ranks for part in parts),
    )


@dataclass
class Progress:
    """What is finished. Only what the journal says is finished is.

    Attributes
    ----------
    opened, finished : epochs that were started, and that are complete.
    trained : per epoch, its finished units of training.
    versions : per model, the version of its latest finished state; 0 is the initial one.
    scores : per (epoch, model, kind), what each partition's evaluation found.
    evaluated : (epoch, model, split) whose evaluation is complete and marked.
    times : mean seconds of a unit of training, per model.
    """

    models: int
    workers: int
    times: UnitTimes = field(init=False)
    opened: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    trained: defaultdict[int, set[Unit]] = field(default_factory=lambda: defaultdict(set))
    versions: list[int] = field(init=False)
    scores: defaultdict[tuple[int, int, Kind], dict[int, Score]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    evaluated: set[tuple[int, int, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.times = UnitTimes(self.models)
        self.versions = [0] * self.models

    def read(self, events: Iterable[Event]) -> None:
        """Take in the events of an earlier start of the same run.

        Raises
        ------
        DataError
            An event names a model or worker that this run does not have.
        """
        started: dict[Unit, int] = {}
        for event in events:
            if event.epoch is None:
                continue
            if event.kind in {"epoch_started", "epoch_finished"}:
                if event.model is None:  # otherwise it is that model's epoch alone
                    opened = event.kind == "epoch_started"
                    (self.opened if opened else self.finished).add(event.epoch)
            elif event.kind == "evaluated" and event.model is not None:
                self.evaluated.add((event.epoch, event.model, event.detail["split"]))
            elif event.kind == "unit_started":
                started[self._unit(event)] = event.mono_ns
            elif event.kind == "unit_finished":
                unit = self._unit(event)
                self._read_finished(unit, event, started.pop(unit, event.mono_ns))

    def _read_finished(self, unit: Unit, event: Event, started_ns: int) -> None:
        detail = event.detail
        if detail["kind"] == "train":
            self.note_trained(unit, int(detail["version"]))
            self.times.add(unit.model, (event.mono_ns - started_ns) / 1e9)
            for kind, found in detail.get("evaluations", {}).items():
                self.note_scored(unit, kind, Score.read(found))
        else:
            self.note_scored(unit, detail["kind"], Score.read(detail))

    def note_trained(self, unit: Unit, version: int) -> None:
        """A unit of training is finished and ``version`` is saved."""
        self.trained[unit.epoch].add(unit)
        self.versions[unit.model] = max(version, self.versions[unit.model])

    def note_scored(self, unit: Unit, kind: Kind, score: Score) -> None:
        """An evaluation is finished on one partition."""
        self.scores[unit.epoch, unit.model, kind][unit.partition] = score

    def mark_evaluated(self, journal: Journal, model: int, epoch: int, kind: Kind) -> None:
        """Journal a model's evaluation once all partitions' are finished, if it is not there."""
        scores = self.scores.get((epoch, model, kind), {})
        key = epoch, model, SPLIT_OF[kind]
        if len(scores) == self.workers and key not in self.evaluated:
            pool(scores).mark(journal, model, epoch, kind)
            self.evaluated.add(key)

    def trained_on(self, model: int, epoch: int) -> set[int]:
        """Partitions that a model has finished training on in an epoch."""
        return {unit.partition for unit in self.trained[epoch] if unit.model == model}

    def scored_on(self, model: int, epoch: int, kind: Kind) -> set[int]:
        """Partitions that a model has been evaluated on in an epoch."""
        return set(self.scores.get((epoch, model, kind), ()))

    def scored(self, epoch: int, kind: Kind) -> set[Unit]:
        """Finished evaluations of a kind in an epoch."""
        return {
            Unit(model, partition, epoch)
            for model in range(self.models)
            for partition in self.scored_on(model, epoch, kind)
        }

    def _unit(self, event: Event) -> Unit:
        model, partition = event.model, event.partition
        if model is None or partition is None or event.epoch is None:
            raise DataError(f"the journal of run {event.run} has a {event.kind} that names no unit")
        if not (0 <= model < self.models and 0 <= partition < self.workers):
            raise DataError(
                f"the journal of run {event.run} has model {model} on partition {partition}, "
                f"but this run has {self.models} models and {self.workers} partitions"
            )
        return Unit(model, partition, event.epoch)
