"""What is scheduled and what comes back: units, their results, and who carries them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from experiments.telemetry.journal import Span

Kind = Literal["train", "valid"]
"""``train`` turns version v of a model's state into v + 1; ``valid`` reads v and writes nothing."""


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
    counters : whole numbers worth keeping, for example buffer hits.
    """

    spans: tuple[Span, ...]
    rows: int
    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)


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
