"""The simulator against the engine that runs: same policy, same durations, same schedule."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.mop.engine import Engine
from experiments.mop.policy import (
    LongestFirstPolicy,
    MatchingPolicy,
    Policy,
    RandomPolicy,
    RoundRobinPolicy,
)
from experiments.mop.simulate import Workload, simulate
from experiments.mop.state import EpochState, UnitTimes
from experiments.mop.unit import Done, Kind, Unit, UnitResult
from experiments.telemetry.journal import Journal, Span, read
from tests.mop.fakes import MemoryStore

SECOND = 1_000_000_000
Schedules = list[list[tuple[float, float, int | None, int | None]]]
POLICIES = (RandomPolicy, RoundRobinPolicy, LongestFirstPolicy, MatchingPolicy)


@dataclass
class VirtualExecutor:
    """Units that take the seconds they are said to take, on a clock that nobody waits for."""

    seconds: list[list[float]]
    store: MemoryStore
    now_ns: int = 0
    ends: list[tuple[int, int, Unit, int, int, Done]] = field(default_factory=list)

    def clock(self) -> int:
        return self.now_ns

    def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
        assert kind == "train"
        long = round(self.seconds[unit.model][unit.worker] * SECOND)
        end = self.now_ns + long
        heapq.heappush(self.ends, (end, unit.worker, unit, self.now_ns, version, done))

    def cancel(self) -> None:
        self.ends.clear()

    def deliver(self) -> None:
        """Report the unit that ends next, if anything runs."""
        if not self.ends:
            return
        end, _, unit, start, version, done = heapq.heappop(self.ends)
        self.now_ns = end
        self.store.held[unit.model].add(version + 1)
        done(unit, UnitResult((Span("train", start, end),), 1, 1.0))


@dataclass
class Asked:
    """The policy; when it has nothing to offer, the engine is about to wait for an end."""

    inner: Policy
    executor: VirtualExecutor
    name: str = "asked"

    def arrange(self, epoch: int, models: int, workers: int) -> list[Unit]:
        return list(self.inner.arrange(epoch, models, workers))

    def choose(self, state: EpochState) -> Unit | None:
        unit = self.inner.choose(state)
        if unit is None:
            self.executor.deliver()
        return unit


def by_engine(policy: Policy, seconds: list[list[float]], epochs: int) -> Schedules:
    """Start, end, model and partition of every unit, for each epoch from its own start."""
    models, workers = len(seconds), len(seconds[0])
    executor = VirtualExecutor(seconds, MemoryStore(models))
    found: Schedules = []
    with TemporaryDirectory() as folder, Journal(Path(folder) / "journal.jsonl", "x") as journal:
        engine = Engine(
            models,
            workers,
            Asked(policy, executor),
            executor,
            journal,
            executor.store,
            clock=executor.clock,
        )
        for epoch in range(1, epochs + 1):
            begun = executor.now_ns
            engine.run_epoch(epoch)
            engine.end_epoch(epoch)
            found.append(
                [
                    (
                        (event.start_ns - begun) / SECOND,
                        (event.end_ns - begun) / SECOND,
                        event.model,
                        event.partition,
                    )
                    for event in read(journal.path)
                    if event.phase == "train"
                    and event.epoch == epoch
                    and event.start_ns is not None
                    and event.end_ns is not None
                ]
            )
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(POLICIES),
    st.integers(0, 99),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(0, 999),
)
def test_the_engine_does_what_is_simulated(
    policy: Callable[[int], Policy], seed: int, models: int, workers: int, draw: int
) -> None:
    """Two epochs, so that policies that measure have measured. Eighths of a second are exact."""
    eighths = np.random.default_rng(draw).integers(1, 40, (models, workers))
    workload = Workload(eighths / 8, np.zeros(workers))
    ran = by_engine(policy(seed), workload.seconds.tolist(), 2)
    simulating, times = policy(seed), UnitTimes(models)
    for epoch in (1, 2):
        expected = [
            (each.start, each.end, each.unit.model, each.unit.partition)
            for each in simulate(simulating, workload, epoch, times=times)
        ]
        assert sorted(ran[epoch - 1]) == sorted(expected)
