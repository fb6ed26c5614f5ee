"""The engine with every policy, on executors that complete in any order, fail or are cancelled."""

from __future__ import annotations

import itertools
import math
import os
import signal
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import (
    DataError,
    EnvironmentFault,
    InvariantViolation,
    ReproduceError,
    SpecError,
    UnitFailed,
)
from experiments.mop import invariants
from experiments.mop.engine import Engine
from experiments.mop.policy import LongestFirstPolicy, Policy, RandomPolicy, make_policy
from experiments.mop.state import EpochState
from experiments.mop.store import ModelStore
from experiments.mop.unit import Done, Kind, Unit, UnitResult
from experiments.mop.visits import Visit, visits
from experiments.telemetry.journal import Event, Journal, Span, read
from tests.mop.fakes import (
    InlineExecutor,
    MemoryStore,
    ThreadedExecutor,
    result_of,
    run,
)

SEEDED = ("random", "round_robin", "longest_first")

sizes = st.integers(1, 5)
seeds = st.integers(0, 2**31)


def make_executor(threaded: bool, store: MemoryStore, seed: int) -> InlineExecutor:
    return ThreadedExecutor(store, seed=seed) if threaded else InlineExecutor(store)


def marks(events: list[Event], kind: str, of: str) -> list[Unit]:
    return [
        Unit(event.model, event.partition, event.epoch)
        for event in events
        if event.kind == kind and event.detail.get("kind") == of
        if event.model is not None and event.partition is not None and event.epoch is not None
    ]


def all_units(models: int, workers: int, epochs: int) -> set[Unit]:
    return {
        Unit(model, partition, epoch)
        for epoch in range(1, epochs + 1)
        for model in range(models)
        for partition in range(workers)
    }


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SEEDED), sizes, sizes, st.integers(1, 2), seeds, st.booleans())
def test_every_policy_carries_out_every_unit_once(
    name: str, models: int, workers: int, epochs: int, seed: int, threaded: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        executor = make_executor(threaded, MemoryStore(models), seed)
        events = run(Path(folder), models, workers, epochs, make_policy(name, seed), executor)

    invariants.check(events, models, workers, range(1, epochs + 1))
    expected = all_units(models, workers, epochs)
    for kind in ("train", "valid"):
        assert Counter(marks(events, "unit_started", kind)) == Counter(expected)
        assert Counter(marks(events, "unit_finished", kind)) == Counter(expected)
    assert Counter(executor.submitted) == Counter(
        (unit, kind) for unit in expected for kind in ("train", "valid")
    )
    assert executor.store.held == {model: {epochs * workers} for model in range(models)}
    assert [e.kind for e in events].count("epoch_finished") == epochs


def test_evaluation_is_the_mean_over_rows(tmp_path: Path) -> None:
    executor = ThreadedExecutor(MemoryStore(3), seed=5)
    events = run(tmp_path, 3, 4, 2, RandomPolicy(1), executor)
    evaluated = [event for event in events if event.kind == "evaluated"]
    assert Counter((e.epoch, e.model) for e in evaluated) == Counter(
        (epoch, model) for epoch in (1, 2) for model in range(3)
    )
    for event in evaluated:
        assert event.model is not None
        parts = [result_of(Unit(event.model, p, 1), "valid") for p in range(4)]
        rows = sum(part.rows for part in parts)
        assert event.detail["split"] == "valid"
        assert event.detail["rows"] == rows
        assert event.detail["loss"] == pytest.approx(
            sum(part.loss * part.rows for part in parts) / rows
        )
        for name in ("top1_error", "top5_error"):
            assert event.detail[name] == pytest.approx(
                sum(part.metrics[name] * part.rows for part in parts) / rows
            )


def test_the_journal_tells_each_unit_in_order(tmp_path: Path) -> None:
    events = run(tmp_path, 1, 1, 1, RandomPolicy(1), InlineExecutor(MemoryStore(1)))
    kinds = [event.kind for event in events if event.phase != "idle"]
    unit = ["unit_started", "span", "unit_finished"]
    assert kinds == ["epoch_started", *unit, *unit, "evaluated", "epoch_finished"]
    finished = next(event for event in events if event.kind == "unit_finished")
    assert (finished.worker, finished.model, finished.partition, finished.epoch) == (0, 0, 0, 1)
    expected = result_of(Unit(0, 0, 1), "train")
    assert finished.detail["seconds"] > 0
    assert {**finished.detail, "seconds": 0} == {
        "kind": "train",
        "seconds": 0,
        "version": 1,
        "rows": expected.rows,
        "loss": expected.loss,
        "metrics": expected.metrics,
        "counters": {},
    }


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(SEEDED), sizes, sizes, seeds, st.floats(0, 1))
def test_resume_from_any_prefix_repeats_only_what_is_unfinished(
    name: str, models: int, workers: int, seed: int, fraction: float
) -> None:
    epochs = 2
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        executor = ThreadedExecutor(MemoryStore(models, keep=True), seed=seed)
        run(whole, models, workers, epochs, make_policy(name, seed), executor)
        journal = (whole / "journal.jsonl").read_bytes()
        cut.mkdir()
        (cut / "journal.jsonl").write_bytes(journal[: round(fraction * len(journal))])
        before = list(read(cut / "journal.jsonl"))
        again = ThreadedExecutor(executor.store, seed=seed + 1)
        events = run(cut, models, workers, epochs, make_policy(name, seed), again)

    invariants.check(events, models, workers, range(1, epochs + 1))
    expected = all_units(models, workers, epochs)
    for kind in ("train", "valid"):
        finished = set(marks(before, "unit_finished", kind))
        assert Counter(u for u, k in again.submitted if k == kind) == Counter(expected - finished)
        assert Counter(marks(events, "unit_finished", kind)) == Counter(expected)
    assert Counter((e.epoch, e.model) for e in events if e.kind == "evaluated") == Counter(
        (epoch, model) for epoch in (1, 2) for model in range(models)
    )
    assert Counter(e.epoch for e in events if e.kind == "epoch_finished") == {1: 1, 2: 1}
    assert len(visits(events)) == len(expected)


def test_a_resumed_epoch_keeps_the_random_list_of_the_first_start(tmp_path: Path) -> None:
    events = run(tmp_path, 4, 1, 2, RandomPolicy(3), InlineExecutor(MemoryStore(4)))
    order = [visit.model for visit in visits(events) if visit.epoch == 2]
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    ends = [n for n, e in enumerate(events) if e.kind == "unit_finished" and e.epoch == 2]
    (tmp_path / "journal.jsonl").write_bytes(b"".join(lines[: ends[1] + 1]))
    executor = InlineExecutor(MemoryStore(4, keep=True))
    executor.store.held = {model: {1, 2} for model in range(4)}
    run(tmp_path, 4, 1, 2, RandomPolicy(3), executor)
    assert [unit.model for unit, kind in executor.submitted if kind == "train"] == order[2:]


def failing(target: Unit, of: Kind, error: Exception) -> InlineExecutor:
    store = MemoryStore(4)
    return ThreadedExecutor(
        store, lambda unit, kind: error if (unit, kind) == (target, of) else None, seed=1
    )


@pytest.mark.parametrize("kind", ["train", "valid"])
def test_a_failed_unit_stops_the_run_and_can_be_repeated(tmp_path: Path, kind: Kind) -> None:
    target = Unit(2, 1, 1)
    executor = failing(target, kind, ZeroDivisionError("a planted fault"))
    with pytest.raises(UnitFailed, match="a planted fault") as caught:
        run(tmp_path, 4, 3, 1, RandomPolicy(1), executor)
    message = str(caught.value)
    assert "model 2 on partition 1 in epoch 1" in message
    assert "on worker 1" in message
    assert "fakes.py" in message, "the worker's own traceback"
    assert executor.cancelled == 1

    events = list(read(tmp_path / "journal.jsonl"))
    failed_at = [event.kind for event in events].index("unit_failed")
    assert marks(events, "unit_failed", kind) == [target]
    assert not [event for event in events[failed_at:] if event.kind == "unit_started"]
    started = marks(events, "unit_started", kind)
    assert set(started) - set(marks(events, "unit_finished", kind)) == {target}

    again = InlineExecutor(executor.store)
    events = run(tmp_path, 4, 3, 1, RandomPolicy(1), again)
    assert Counter(again.submitted + executor.submitted) == Counter(
        [(unit, k) for unit in all_units(4, 3, 1) for k in ("train", "valid")] + [(target, kind)]
    )


def test_what_the_user_can_mend_is_raised_as_it_came(tmp_path: Path) -> None:
    error = EnvironmentFault("no space left in /models")
    with pytest.raises(EnvironmentFault) as caught:
        run(tmp_path, 4, 3, 1, RandomPolicy(1), failing(Unit(0, 0, 1), "train", error))
    assert caught.value is error


@settings(max_examples=25, deadline=None)
@given(sizes, sizes, seeds, st.sets(st.integers(0, 40), max_size=3))
def test_faults_at_any_time_lose_nothing_that_finished(
    models: int, workers: int, seed: int, faults: set[int]
) -> None:
    count = 0

    def fault(_unit: Unit, _kind: Kind) -> BaseException | None:
        nonlocal count
        count += 1
        return OSError(f"fault {count}") if count in faults else None

    store = MemoryStore(models)
    finished: list[tuple[Unit, Kind]] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(len(faults) + 1):
            executor = ThreadedExecutor(store, fault, seed=seed)
            try:
                events = run(Path(folder), models, workers, 1, make_policy("random", 1), executor)
            except UnitFailed:
                events = list(read(Path(folder) / "journal.jsonl"))
            kinds: tuple[Kind, ...] = ("train", "valid")
            assert not set(executor.submitted) & set(finished)
            finished = [(u, kind) for kind in kinds for u in marks(events, "unit_finished", kind)]
    invariants.check(events, models, workers, [1])
    assert len(finished) == 2 * models * workers


class HangingExecutor(InlineExecutor):
    """Finishes some units, then nothing; a Ctrl-C arrives while the engine waits."""

    def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
        if len(self.submitted) < 5:
            super().submit(unit, kind, version, done)
        elif len(self.submitted) == 5:
            self.submitted.append((unit, kind))
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()


@pytest.mark.timeout(30)
def test_interrupt_while_waiting_cancels_and_loses_only_what_ran(tmp_path: Path) -> None:
    executor = HangingExecutor(MemoryStore(3))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, 3, 3, 1, RandomPolicy(1), executor)
    assert executor.cancelled == 1
    finished = marks(list(read(tmp_path / "journal.jsonl")), "unit_finished", "train")
    assert [(unit, "train") for unit in finished] == executor.submitted[:5]

    again = InlineExecutor(executor.store)
    events = run(tmp_path, 3, 3, 1, RandomPolicy(1), again)
    invariants.check(events, 3, 3, [1])
    assert not {unit for unit, kind in again.submitted if kind == "train"} & set(finished)


def test_an_executor_that_cannot_submit_is_cancelled(tmp_path: Path) -> None:
    class Broken(InlineExecutor):
        def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
            raise ConnectionError("nobody there")

    executor = Broken(MemoryStore(2))
    with pytest.raises(ConnectionError):
        run(tmp_path, 2, 2, 1, RandomPolicy(1), executor)
    assert executor.cancelled == 1


def test_a_unit_that_is_reported_twice_is_refused(tmp_path: Path) -> None:
    class Twice(InlineExecutor):
        def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
            super().submit(unit, kind, version, done)
            done(unit, result_of(unit, kind))

    with pytest.raises(InvariantViolation, match=r"non-preemption: model \d on partition"):
        run(tmp_path, 2, 2, 1, RandomPolicy(1), Twice(MemoryStore(2)))


class Odd(RandomPolicy):
    """Chooses as told, whatever may start."""

    name = "odd"

    def __init__(self, *units: Unit) -> None:
        super().__init__(1)
        self.units = list(units)

    def choose(self, state: EpochState) -> Unit | None:
        return self.units.pop(0) if self.units else None


@pytest.mark.parametrize(
    ("policy", "error", "message"),
    [
        (Odd(), ReproduceError, r"policy 'odd' is stuck.* 4 units are pending"),
        (Odd(Unit(0, 0, 1), Unit(0, 1, 1)), InvariantViolation, "isolation: model 0 on part"),
        (Odd(Unit(0, 0, 1), Unit(1, 0, 1)), InvariantViolation, "exclusivity: model 1 on part"),
        (Odd(Unit(0, 0, 1), Unit(0, 0, 1)), InvariantViolation, "completeness: .* not pending"),
        (Odd(Unit(9, 0, 1)), InvariantViolation, "completeness: model 9"),
    ],
)
def test_a_wrong_policy_is_found_out(
    tmp_path: Path, policy: Policy, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(tmp_path, 2, 2, 1, policy, InlineExecutor(MemoryStore(2)))


def test_a_policy_that_forgets_a_unit_is_found_out(tmp_path: Path) -> None:
    class Forgetful(RandomPolicy):
        def arrange(self, epoch: int, models: int, workers: int) -> list[Unit]:
            return list(super().arrange(epoch, models, workers))[1:]

    with pytest.raises(InvariantViolation, match="completeness: the policy arranged 3 units"):
        run(tmp_path, 2, 2, 1, Forgetful(1), InlineExecutor(MemoryStore(2)))


@settings(max_examples=30, deadline=None)
@given(sizes, sizes, seeds)
def test_replay_repeats_the_recorded_orders(models: int, workers: int, seed: int) -> None:
    def orders(found: list[Visit]) -> tuple[dict[object, list[int]], dict[object, list[int]]]:
        of_model: dict[object, list[int]] = {}
        of_worker: dict[object, list[int]] = {}
        for epoch, model, partition in found:
            of_model.setdefault((epoch, model), []).append(partition)
            of_worker.setdefault((epoch, partition), []).append(model)
        return of_model, of_worker

    with tempfile.TemporaryDirectory() as folder:
        first = ThreadedExecutor(MemoryStore(models), seed=seed)
        policy = make_policy("random", seed)
        recorded = visits(run(Path(folder) / "a", models, workers, 2, policy, first))
        second = ThreadedExecutor(MemoryStore(models), seed=seed + 1)
        policy = make_policy("replay", 0, recorded)
        replayed = visits(run(Path(folder) / "b", models, workers, 2, policy, second))
    assert orders(replayed) == orders(recorded)


def test_a_finished_run_does_nothing(tmp_path: Path) -> None:
    events = run(tmp_path, 2, 2, 2, RandomPolicy(1), InlineExecutor(MemoryStore(2)))
    executor = InlineExecutor(MemoryStore(2))
    assert run(tmp_path, 2, 2, 2, RandomPolicy(1), executor) == events
    assert executor.submitted == []


def test_an_epoch_without_evaluation_can_be_ended(tmp_path: Path) -> None:
    executor = InlineExecutor(MemoryStore(2))
    with Journal(tmp_path / "journal.jsonl", "fake") as journal:
        engine = Engine(2, 2, RandomPolicy(1), executor, journal, executor.store, history=())
        engine.run_epoch(1)
        assert executor.store.held == {0: {2}, 1: {2}}, "older versions are discarded on the way"
        engine.end_epoch(1)
        engine.end_epoch(1)
    kinds = [event.kind for event in read(tmp_path / "journal.jsonl")]
    assert kinds.count("epoch_finished") == 1
    assert "evaluated" not in kinds


def test_an_epoch_that_is_not_trained_cannot_be_ended(tmp_path: Path) -> None:
    executor = InlineExecutor(MemoryStore(2))
    with Journal(tmp_path / "journal.jsonl", "fake") as journal:
        engine = Engine(2, 2, RandomPolicy(1), executor, journal, executor.store)
        with pytest.raises(InvariantViolation, match="completeness: 4 of 4 units of epoch 1"):
            engine.evaluate(1)
    assert "epoch_finished" not in {event.kind for event in read(tmp_path / "journal.jsonl")}


def test_a_lost_state_is_named_before_anything_starts(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    store.save(0, 0, b"state")
    executor = InlineExecutor(MemoryStore(2))
    with Journal(tmp_path / "journal.jsonl", "fake") as journal:
        engine = Engine(2, 2, RandomPolicy(1), executor, journal, store)
        with pytest.raises(DataError, match="version 0 of model 1 is missing"):
            engine.run_epoch(1)
    assert executor.submitted == []


def test_resume_discards_what_a_kill_left_behind(tmp_path: Path) -> None:
    executor = InlineExecutor(MemoryStore(1, keep=True))
    run(tmp_path, 1, 2, 1, RandomPolicy(1), executor)
    executor.store.keep = False
    assert executor.store.held == {0: {0, 1, 2}}
    run(tmp_path, 1, 2, 2, RandomPolicy(1), executor)
    assert executor.store.held == {0: {4}}


@pytest.mark.parametrize(("models", "workers"), [(0, 1), (1, 0)])
def test_no_models_or_workers(tmp_path: Path, models: int, workers: int) -> None:
    store = MemoryStore(0)
    with Journal(tmp_path / "j", "fake") as journal, pytest.raises(SpecError, match="needs models"):
        Engine(models, workers, RandomPolicy(1), InlineExecutor(store), journal, store)


def test_a_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 3, 2, 1, RandomPolicy(1), InlineExecutor(MemoryStore(3)))
    with pytest.raises(DataError, match=r"has model 2 on partition \d, but this run has 2 models"):
        run(tmp_path, 2, 2, 1, RandomPolicy(1), InlineExecutor(MemoryStore(2)))


def test_an_empty_validation_set_is_named(tmp_path: Path) -> None:
    class Empty(InlineExecutor):
        def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
            self.store.held[unit.model].add(version + 1)
            done(unit, UnitResult((), 0, 0.0))

    with pytest.raises(DataError, match="the validation set is empty"):
        run(tmp_path, 1, 1, 1, RandomPolicy(1), Empty(MemoryStore(1)))


def test_a_diverged_loss_is_kept(tmp_path: Path) -> None:
    class Diverged(InlineExecutor):
        def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
            self.store.held[unit.model].add(version + 1)
            done(unit, UnitResult((), 5, math.nan, {"top1_error": 1.0}))

    events = run(tmp_path, 1, 2, 1, RandomPolicy(1), Diverged(MemoryStore(1)))
    (evaluated,) = [event for event in events if event.kind == "evaluated"]
    assert math.isnan(float(evaluated.detail["loss"]))
    assert evaluated.detail["top1_error"] == 1.0


def test_measured_times_survive_a_restart(tmp_path: Path) -> None:
    seen: list[list[float]] = []

    class Watching(LongestFirstPolicy):
        def choose(self, state: EpochState) -> Unit | None:
            seen.append(state.seconds.tolist())
            return super().choose(state)

    run(tmp_path, 2, 2, 1, Watching(1), InlineExecutor(MemoryStore(2, keep=True)))
    assert all(math.isnan(value) for value in seen[0])
    seen.clear()
    executor = InlineExecutor(MemoryStore(2))
    executor.store.held = {0: {2}, 1: {2}}
    run(tmp_path, 2, 2, 2, Watching(1), executor)
    assert not any(math.isnan(value) for value in seen[0])


class ClockedExecutor:
    """One unit at a time on a synthetic clock; each worker's own is ``offset`` further."""

    def __init__(self, offset: int) -> None:
        self.now = 1_000
        self.offset = offset

    def clock(self) -> int:
        self.now += 3
        return self.now

    def submit(self, unit: Unit, kind: Kind, _version: int, done: Done) -> None:
        shift = self.offset * unit.worker
        self.now += 11
        begin = self.now + shift
        load = Span("model_transmission", begin, begin + 20 + unit.model)
        work = Span(kind, load.end_ns + 5, load.end_ns + 100)
        self.now = work.end_ns - shift
        done(unit, UnitResult((work, load), 1, 0.0))

    def cancel(self) -> None:
        raise AssertionError("nothing went wrong")

    def has(self, _model: int, _version: int) -> bool:
        return True

    def discard(self, _model: int, below: int) -> None:
        pass


@pytest.mark.parametrize("offset", [0, 10**15, -500])
def test_spans_and_idle_fill_every_workers_epoch(tmp_path: Path, offset: int) -> None:
    workers, executor = 3, ClockedExecutor(offset)
    with Journal(tmp_path / "journal.jsonl", "fake") as journal:
        engine = Engine(
            4, workers, RandomPolicy(1), executor, journal, executor, clock=executor.clock
        )
        before = executor.now
        engine.run_epoch(1)
        engine.evaluate(1)
        wall = executor.now - before
    spans = [event for event in read(tmp_path / "journal.jsonl") if event.kind == "span"]
    assert {event.epoch for event in spans} == {1}
    for worker in range(workers):
        mine = sorted(
            (event.start_ns, event.end_ns)
            for event in spans
            if event.worker == worker and event.start_ns is not None and event.end_ns is not None
        )
        assert all(a[1] == b[0] for a, b in itertools.pairwise(mine)), "a gap or an overlap"
        assert mine[-1][1] - mine[0][0] == pytest.approx(wall, abs=10)
