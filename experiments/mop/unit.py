"""What is scheduled and what comes back: units, their results, and who carries them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from experiments.models.measures import Ranks
from experiments.telemetry.journal import Span, number

Kind = Literal["train", "training_pass", "valid"]
"""``train`` turns version v of a model's state into v + 1; the others are evaluations, on the
training set and on the validation set, which read v and write nothing."""


class Unit(NamedTuple):
    """One model config on one partition in one epoch (a *sub-epoch* of that model).

    A named tuple rather than a dataclass because a simulation hashes millions of them.
    """

    model: int
    partition: int
    epoch: int

    @property
    def worker(self) -> int:
        """The worker that holds the partition: worker i holds partition i."""
        return self.partition

    def __str__(self) -> str:
        return f"model {self.model} on partition {self.partition} in epoch {self.epoch}"


@dataclass(frozen=True)
class UnitResult:
    """What a worker reports of a finished unit.

    Attributes
    ----------
    spans : where the worker's time went, on the worker's own monotonic clock.
    rows : rows trained on or evaluated.
    loss : mean over these rows, without the L2 term when evaluating.
    metrics : means over these rows, for example ``top1_error`` and ``top5_error`` (0 to 1).
    ranks : what the area under the ROC curve is made of, of an evaluation with two classes.
    counters : numbers worth keeping, for example buffer hits.
    device : what the worker trains on, a GPU's name or ``CPU``; empty where it does not tell.
    evaluations : of a unit of training that ended with some, what each kind found: ``rows``,
        ``loss``, ``metrics`` and ``ranks``.
    """

    spans: tuple[Span, ...]
    rows: int
    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    ranks: Ranks = field(default_factory=dict)
    counters: Mapping[str, float] = field(default_factory=dict)
    device: str = ""
    evaluations: Mapping[Kind, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def from_report(cls, report: Mapping[str, Any]) -> UnitResult:
        """From the whole report of a :class:`~experiments.models.worker.UnitWorker`."""
        return cls(
            spans=tuple(Span(*span) for span in report["spans"]),
            rows=int(report["rows"]),
            loss=float(report["loss"]),
            metrics=report["metrics"],
            ranks=report["ranks"],
            counters=report["counters"],
            device=report.get("device", ""),
            evaluations=report.get("evaluations", {}),
        )

    def detail(self) -> dict[str, Any]:
        """What a ``unit_finished`` mark says of it."""
        found: dict[str, Any] = {
            "rows": self.rows,
            "loss": number(self.loss),
            "metrics": dict(self.metrics),
            "counters": dict(self.counters),
        }
        more = {"device": self.device, "ranks": self.ranks, "evaluations": self.evaluations}
        return {**found, **{name: value for name, value in more.items() if value}}


@dataclass(frozen=True)
class Lost:
    """What an executor reports of a unit whose worker died: it has to be run again.

    Reported once the worker is back.

    Attributes
    ----------
    reason : what died, in one line.
    spans : how the worker that came back spent its time until now.
    """

    reason: str
    spans: tuple[Span, ...] = ()


Outcome = UnitResult | Lost | BaseException
Done = Callable[[Unit, Outcome], None]


class Executor(Protocol):
    """Carries units out, somewhere else or right here."""

    def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
        """Start a unit on ``unit.worker`` and return; ``done`` is called once, from any thread.

        Parameters
        ----------
        version : the model state to read; ``train`` writes ``version + 1`` whole or not at all.
        done : takes the unit and its result, the news that it was lost with its worker, or the
            exception that ended it.
        """

    def cancel(self) -> None:
        """Stop what is running, as soon as that is possible. Safe when nothing is."""
