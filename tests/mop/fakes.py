"""Executors and stores that stand in for workers."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from experiments.mop.engine import Engine
from experiments.mop.policy import Policy
from experiments.mop.unit import Done, Kind, Outcome, Unit, UnitResult
from experiments.telemetry.journal import Event, Journal, Span, read

Fault = Callable[[Unit, Kind], BaseException | None]


def no_fault(_unit: Unit, _kind: Kind) -> BaseException | None:
    return None


@dataclass
class MemoryStore:
    """Versions as sets of numbers. ``keep`` makes discarding a no-op."""

    models: int
    keep: bool = False
    held: dict[int, set[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.held = {model: {0} for model in range(self.models)}

    def has(self, model: int, version: int) -> bool:
        return version in self.held[model]

    def discard(self, model: int, below: int) -> None:
        if not self.keep:
            self.held[model] = {version for version in self.held[model] if version >= below}


def result_of(unit: Unit, kind: Kind) -> UnitResult:
    """What the fakes report: different for every unit, and more rows on later partitions."""
    rows = 10 * (unit.partition + 1)
    error = (unit.model + 1) / (unit.partition + 2) / 10
    spans = (Span(kind, 1, 3, bytes=7),)
    return UnitResult(spans, rows, error * 3, {"top1_error": error, "top5_error": error / 2})


@dataclass
class InlineExecutor:
    """Carries a unit out before ``submit`` returns."""

    store: MemoryStore
    fault: Fault = no_fault
    submitted: list[tuple[Unit, Kind]] = field(default_factory=list)
    cancelled: int = 0

    def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
        self.submitted.append((unit, kind))
        done(unit, self.carry_out(unit, kind, version))

    def carry_out(self, unit: Unit, kind: Kind, version: int) -> Outcome:
        try:
            self._meet_fault(unit, kind)
            assert self.store.has(unit.model, version), f"{unit} reads version {version}"
        except Exception as raised:  # noqa: BLE001 - what an executor does with any failure
            return raised
        if kind == "train":
            self.store.held[unit.model].add(version + 1)
        return result_of(unit, kind)

    def _meet_fault(self, unit: Unit, kind: Kind) -> None:
        error = self.fault(unit, kind)
        if error is not None:
            raise error

    def cancel(self) -> None:
        self.cancelled += 1

    def close(self) -> None:
        pass


@dataclass
class ThreadedExecutor(InlineExecutor):
    """Completes what it was given from another thread, in random order."""

    seed: int = 0
    inbox: queue.SimpleQueue[tuple[Unit, Kind, int, Done] | None] = field(
        default_factory=queue.SimpleQueue
    )

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
        self.submitted.append((unit, kind))
        self.inbox.put((unit, kind, version, done))

    def close(self) -> None:
        self.inbox.put(None)
        self.thread.join()

    def _work(self) -> None:
        stream = random.Random(self.seed)
        waiting: list[tuple[Unit, Kind, int, Done]] = []
        while True:
            while not waiting or not self.inbox.empty():
                item = self.inbox.get()
                if item is None:
                    return
                waiting.append(item)
            unit, kind, version, done = waiting.pop(stream.randrange(len(waiting)))
            done(unit, self.carry_out(unit, kind, version))


def run(
    folder: Path,
    models: int,
    workers: int,
    epochs: int,
    policy: Policy,
    executor: InlineExecutor,
) -> list[Event]:
    """Train and evaluate all epochs, or what is left of them; the events of the whole journal."""
    path = folder / "journal.jsonl"
    try:
        with Journal(path, "fake") as journal:
            engine = Engine(models, workers, policy, executor, journal, executor.store)
            for epoch in range(1, epochs + 1):
                engine.run_epoch(epoch)
                engine.evaluate(epoch)
            assert list(engine.versions) == [epochs * workers] * models
    finally:
        executor.close()
    return list(read(path))
