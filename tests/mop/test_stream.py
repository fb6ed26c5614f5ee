"""Models that come and go, as a search has them, on the engine of every run."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import UnitFailed
from experiments.mop import invariants
from experiments.mop.engine import Engine
from experiments.mop.policy import make_policy
from experiments.mop.unit import Kind, Unit
from experiments.telemetry.journal import Event, Journal, read
from tests.mop.fakes import InlineExecutor, MemoryStore, ThreadedExecutor

Entry = tuple[int, int]
EPOCHS = 2


def stream(
    folder: Path, models: int, workers: int, slots: int, policy: str, executor: InlineExecutor
) -> list[Event]:
    """``models`` for two epochs each, ``slots`` at a time; the lowest that is left comes next."""
    path = folder / "journal.jsonl"
    try:
        with Journal(path, "fake") as journal:
            begun: set[Entry] = set()

            def more() -> list[Entry]:
                over = {(e.model, e.epoch) for e in read(path) if e.kind == "evaluated"}
                wanted = [
                    next((model, e) for e in (1, EPOCHS) if (model, e) not in over)
                    for model in range(models)
                    if (model, EPOCHS) not in over
                ]
                fresh = [entry for entry in wanted[:slots] if entry not in begun]
                begun.update(fresh)
                return fresh

            engine = Engine(
                models, workers, make_policy(policy, 1), executor, journal, executor.store
            )
            engine.stream(more(), more)
            assert list(engine.versions) == [EPOCHS * workers] * models
    finally:
        executor.close()
    return list(read(path))


def every(models: int) -> list[Entry]:
    return [(model, epoch) for model in range(models) for epoch in range(1, EPOCHS + 1)]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["random", "longest_first", "matching"]),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 2**31),
)
def test_the_invariants_hold_for_models_in_epochs_of_their_own(
    policy: str, models: int, workers: int, slots: int, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        executor = ThreadedExecutor(MemoryStore(models), seed=seed)
        events = stream(Path(folder), models, workers, slots, policy, executor)
    invariants.check_each(events, every(models), workers)
    evaluated = Counter((e.model, e.epoch) for e in events if e.kind == "evaluated")
    assert evaluated == Counter(dict.fromkeys(every(models), 1))
    finished = [(e.model, e.epoch) for e in events if e.kind == "epoch_finished"]
    assert sorted(map(str, finished)) == sorted(map(str, every(models)))
    under_way: set[int | None] = set()
    for event in events:
        if event.kind == "epoch_started":
            under_way.add(event.model)
        elif event.kind == "epoch_finished":
            under_way.discard(event.model)
        assert len(under_way) <= slots


@pytest.mark.parametrize("seed", range(5))
def test_a_slot_is_free_at_once(seed: int, tmp_path: Path) -> None:
    """A model begins although the one beside the slot that it takes is not through its epoch."""
    executor = ThreadedExecutor(MemoryStore(4), seed=seed)
    events = stream(tmp_path, 4, 3, 2, "random", executor)
    going: set[Entry] = set()
    beside = []
    for event in events:
        entry = (event.model or 0, event.epoch or 0)
        if event.kind == "epoch_started":
            beside.append(len(going))
            going.add(entry)
        elif event.kind == "epoch_finished":
            going.discard(entry)
    assert beside[1:-1] == [1] * (len(beside) - 2)


@pytest.mark.parametrize("number", range(0, 48, 5))
def test_a_stream_that_failed_anywhere_goes_on(number: int, tmp_path: Path) -> None:
    store = MemoryStore(4)
    calls = 0

    def fault(_unit: Unit, _kind: Kind) -> BaseException | None:
        nonlocal calls
        calls += 1
        return RuntimeError("fault") if calls == number + 1 else None

    failing = number < 4 * 3 * EPOCHS * 2
    if failing:
        with pytest.raises(UnitFailed):
            stream(tmp_path, 4, 3, 2, "random", InlineExecutor(store, fault))
    events = stream(tmp_path, 4, 3, 2, "random", InlineExecutor(store))
    invariants.check_each(events, every(4), 3)
    evaluated = Counter((e.model, e.epoch) for e in events if e.kind == "evaluated")
    assert evaluated == Counter(dict.fromkeys(every(4), 1))


def test_a_workers_time_is_all_accounted_for(tmp_path: Path) -> None:
    """Between a stream's first and last event every worker works or is idle."""
    executor = ThreadedExecutor(MemoryStore(3), seed=1)
    events = stream(tmp_path, 3, 2, 2, "random", executor)
    idle = [event for event in events if event.kind == "span" and event.phase == "idle"]
    assert {event.worker for event in idle} == {0, 1}
    assert all(event.epoch is None for event in idle)
