"""Units lost with their worker, and crashes between the store and the journal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import ServerDied
from experiments.mop import engine as engine_module
from experiments.mop import invariants
from experiments.mop.engine import Engine
from experiments.mop.policy import RandomPolicy
from experiments.mop.store import ModelStore
from experiments.mop.unit import Done, Kind, Lost, Unit
from experiments.telemetry.journal import Event, Journal, Span, read
from tests.mop.fakes import InlineExecutor, MemoryStore, result_of, run

MODELS, WORKERS = 3, 2


@dataclass
class Mortal(InlineExecutor):
    """Loses each unit as often as ``deaths`` says before it is carried out."""

    deaths: Counter[tuple[Unit, Kind]] = field(default_factory=Counter)

    def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
        if self.deaths[unit, kind]:
            self.deaths[unit, kind] -= 1
            self.submitted.append((unit, kind))
            done(unit, Lost("worker-0 is gone", (Span("init", 1, 2),)))
        else:
            super().submit(unit, kind, version, done)


def test_a_lost_unit_is_run_again_on_the_same_state(tmp_path: Path) -> None:
    lost: dict[tuple[Unit, Kind], int] = {(Unit(0, 1, 1), "train"): 2, (Unit(2, 0, 1), "valid"): 1}
    executor = Mortal(MemoryStore(MODELS), deaths=Counter(lost))
    events = run(tmp_path, MODELS, WORKERS, 1, RandomPolicy(1), executor)
    invariants.check(events, MODELS, WORKERS, [1])
    marks = [event for event in events if event.kind == "unit_lost"]
    assert Counter((e.model, e.partition, e.detail["kind"]) for e in marks) == {
        (0, 1, "train"): 2,
        (2, 0, "valid"): 1,
    }
    assert {event.detail["reason"] for event in marks} == {"worker-0 is gone"}
    starts = Counter(executor.submitted)
    assert all(count == 1 + lost.get(each, 0) for each, count in starts.items())
    spans = [event for event in events if event.phase == "init"]
    assert [(e.worker, e.model, e.epoch) for e in spans] == [(1, None, 1)] * 2 + [(0, None, 1)]


def test_a_unit_that_keeps_killing_its_worker_ends_the_run(tmp_path: Path) -> None:
    unit = Unit(1, 0, 1)
    executor = Mortal(MemoryStore(MODELS), deaths=Counter({(unit, "train"): 100}))
    with pytest.raises(ServerDied, match="lost its worker 6 times: worker-0 is gone"):
        run(tmp_path, MODELS, WORKERS, 1, RandomPolicy(1), executor)
    assert executor.submitted.count((unit, "train")) == engine_module.REPEATS + 1
    events = list(read(tmp_path / "journal.jsonl"))
    assert [event.model for event in events if event.kind == "unit_failed"] == [1]

    events = run(tmp_path, MODELS, WORKERS, 1, RandomPolicy(1), InlineExecutor(executor.store))
    invariants.check(events, MODELS, WORKERS, [1])


class Crash(BaseException):
    """Stands for SIGKILL: nothing after it happens."""


class CrashingJournal(Journal):
    """Crashes at the n-th finished unit, before or after its line is written."""

    def __init__(self, path: Path, at: int, written: bool) -> None:
        super().__init__(path, "crash")
        self._left = at
        self._written = written

    def append(self, kind: str, /, **keys: Any) -> None:
        self._left -= kind == "unit_finished"
        if kind == "unit_finished" and self._left == 0:
            if self._written:
                super().append(kind, **keys)
            raise Crash
        super().append(kind, **keys)


class Disk:
    """Trains by appending the partition to the state's bytes, in a real model store."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
        state = self._store.load(unit.model, version)
        if kind == "train":
            self._store.save(unit.model, version + 1, state + bytes([unit.partition + 1]))
        done(unit, result_of(unit, kind))

    def cancel(self) -> None:
        pass


def carry_out(journal: Journal, store: ModelStore) -> None:
    engine = Engine(MODELS, WORKERS, RandomPolicy(7), Disk(store), journal, store)
    for epoch in (1, 2):
        engine.run_epoch(epoch)
        engine.evaluate(epoch)


@pytest.mark.parametrize("written", [False, True], ids=["before the journal", "before the discard"])
@pytest.mark.parametrize("at", range(1, 2 * 2 * MODELS * WORKERS + 1))
def test_a_crash_between_store_and_journal_changes_nothing(
    tmp_path: Path, at: int, written: bool
) -> None:
    store = ModelStore(tmp_path / "store")
    for model in range(MODELS):
        store.save(model, 0, b"start")
    with CrashingJournal(tmp_path / "journal", at, written) as journal, pytest.raises(Crash):
        carry_out(journal, store)
    with Journal(tmp_path / "journal", "crash") as journal:
        carry_out(journal, store)
    events = list(read(tmp_path / "journal"))
    invariants.check(events, MODELS, WORKERS, [1, 2])
    for model in range(MODELS):
        visited = [event.partition for event in events if trains(event, model)]
        assert store.load(model, 2 * WORKERS) == b"start" + bytes(1 + int(p or 0) for p in visited)
    assert len(list(store.root.iterdir())) == MODELS, "only the last versions are kept"


def trains(event: Event, model: int) -> bool:
    return (
        event.kind == "unit_finished" and event.model == model and event.detail["kind"] == "train"
    )
