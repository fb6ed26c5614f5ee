"""The visit order of a run: which model met which partition when, read from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from experiments.telemetry.journal import Event


class Visit(NamedTuple):
    """One finished unit of training."""

    epoch: int
    model: int
    partition: int


def visits(events: Iterable[Event]) -> list[Visit]:
    """All finished training units, in the order they were started.

    A unit that was lost and repeated counts where it was started for the last time. Training the
    models in this order in one process gives the weights of the run.
    """
    started: dict[Visit, int] = {}
    finished: list[tuple[int, Visit]] = []
    for number, event in enumerate(events):
        if event.detail.get("kind") != "train":
            continue
        if event.epoch is None or event.model is None or event.partition is None:
            continue
        visit = Visit(event.epoch, event.model, event.partition)
        if event.kind == "unit_started":
            started[visit] = number
        elif event.kind == "unit_finished":
            finished.append((started.pop(visit, number), visit))
    return [visit for _, visit in sorted(finished)]
