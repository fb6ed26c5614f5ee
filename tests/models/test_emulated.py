"""The emulated step: what it leaves in the state; how it waits, on a clock of the test's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.errors import ServerDied, SpecError
from experiments.models import codec, gathering
from experiments.models.averaging import Average
from experiments.models.emulated import SLICE_SECONDS, WINDOW, EmulatedStep, Pace
from experiments.models.process_group import Group
from experiments.models.session import Session
from experiments.paths import CHECKOUT
from experiments.specs.emulation import EmulatedModel
from tests.models.conftest import Data

MODEL = EmulatedModel(
    device="test",
    weights=40_000,
    moments=60_000,
    start_seconds=8.0,
    transfer_seconds=0.5,
    train_row_seconds=0.01,
    train_batch_seconds=0.1,
    valid_row_seconds=0.005,
    valid_batch_seconds=0.05,
    gradient_bytes=120_000,
    network_bytes_per_second=1e6,
    fixed_bytes=1000,
    row_bytes=10.0,
    speedup=1e6,
)


class Clock:
    """Time that passes when somebody sleeps, and a little more than was asked for."""

    def __init__(self, over: float = 0.0) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self._over = over

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + self._over


def pace_on(clock: Clock, speedup: float = 1.0, check: Callable[[], None] = lambda: None) -> Pace:
    return Pace(speedup, check, clock, clock.sleep)


@pytest.fixture
def job(make_job: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return make_job(architecture="anything", emulation=asdict(MODEL))


def trained(job: dict[str, Any], state: bytes, *units: tuple[int, Data]) -> bytes:
    """A state after units of a seed and rows each, in a process of one."""
    session = Session(0)
    session.load(job, state)
    for seed, rows in units:
        session.train_start(job, seed)
        session.train_rows(*rows)
        session.train_finish()
    return session.dump()


def start_of(job: dict[str, Any]) -> bytes:
    return Session(0).initial_state(job, 7)


# --- the state


def test_hopping_equals_a_replay_in_one_process(
    job: dict[str, Any], make_rows: Callable[..., Data]
) -> None:
    units = [(seed, make_rows(50, seed)) for seed in range(3)]
    state = start_of(job)
    for unit in units:
        state = trained(job, state, unit)
    assert state == trained(job, start_of(job), *units)


def test_the_order_of_units_and_of_batches_matters(
    job: dict[str, Any], make_rows: Callable[..., Data]
) -> None:
    one, other = (1, make_rows(32, 1)), (2, make_rows(32, 2))
    assert trained(job, start_of(job), one, other) != trained(job, start_of(job), other, one)
    x, y = one[1]
    swapped = np.concatenate([x[16:], x[:16]]), np.concatenate([y[16:], y[:16]])
    assert trained(job, start_of(job), one) != trained(job, start_of(job), (1, swapped))


def test_a_batch_too_few_leaves_another_state(
    job: dict[str, Any], make_rows: Callable[..., Data]
) -> None:
    x, y = make_rows(64)
    whole = codec.decode(trained(job, start_of(job), (1, (x, y))))
    short = codec.decode(trained(job, start_of(job), (1, (x[:48], y[:48]))))
    assert (whole.step, short.step) == (4, 3)
    assert not np.array_equal(whole.weights[:4], short.weights[:4])


def test_where_blocks_end_does_not_matter(
    job: dict[str, Any], make_rows: Callable[..., Data]
) -> None:
    x, y = make_rows(70)
    session = Session(0)
    session.load(job, start_of(job))
    session.train_start(job, 1)
    for start in range(0, 70, 9):
        session.train_rows(x[start : start + 9], y[start : start + 9])
    session.train_finish()
    assert session.dump() == trained(job, start_of(job), (1, (x, y)))


def test_a_batch_changes_at_most_64_kilobytes(
    job: dict[str, Any], make_rows: Callable[..., Data]
) -> None:
    parts = [start_of(job), trained(job, start_of(job), (1, make_rows(16)))]
    before, after = (codec.decode(state) for state in parts)
    changed = int(np.count_nonzero(before.weights[4:] != after.weights[4:]))
    changed += int(np.count_nonzero(after.optimizer))
    assert 0 < changed <= WINDOW == 64 * 1024 / 4


def test_it_has_the_size_that_it_should_and_finite_values(
    job: dict[str, Any], make_rows: Callable[..., Data]
) -> None:
    units = [(seed, make_rows(160, seed)) for seed in range(5)]
    state = codec.decode(trained(job, start_of(job), *units))
    assert (state.weights.size, state.optimizer.size) == (40_000, 60_000)
    assert max(np.abs(state.weights[4:]).max(), np.abs(state.optimizer).max()) <= 1.0


def test_averages_can_be_trained_on(job: dict[str, Any], make_rows: Callable[..., Data]) -> None:
    mean = Average()
    for seed in (1, 2):
        mean.add(trained(job, start_of(job), (seed, make_rows(32, seed))), 32)
    unit = (3, make_rows(32, 3))
    one, again = (trained(job, mean.state(), unit) for _ in range(2))
    assert one == again != trained(job, start_of(job), unit)


def test_a_state_of_another_size_is_refused(job: dict[str, Any]) -> None:
    smaller = {**job, "emulation": asdict(replace(MODEL, weights=30_000))}
    with pytest.raises(codec.DamagedState, match="layout"):
        Session(0).load(job, start_of(smaller))


def test_a_job_that_says_something_else_of_its_device_is_refused(job: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="not a model on an emulated device"):
        Session(0).warm({**job, "emulation": {"device": "p100"}})


def test_it_guesses(job: dict[str, Any], make_rows: Callable[..., Data]) -> None:
    session, rows = Session(0), make_rows(50)
    session.load(job, start_of(job))
    session.evaluate_start(job)
    session.evaluate_rows(*rows)
    counts = session.evaluate_finish()
    session.train_start(job, 1)
    session.train_rows(*rows)
    outcome = session.train_finish()
    assert counts.loss_sum == pytest.approx(50 * np.log(7)) == pytest.approx(outcome.loss_sum)
    assert counts.top1_correct == outcome.correct == rows[1][:, 0].sum()


# --- the clock


def test_sleeping_too_long_does_not_add_up() -> None:
    clock = Clock(over=0.003)
    pace = pace_on(clock)
    for _ in range(1000):
        pace.spend(0.01)
    pace.finish()
    assert clock.now - 100.0 == pytest.approx(10.0, abs=0.01)
    assert pace.counters()["modelled_seconds"] == pytest.approx(10.0)
    assert pace.counters()["late_seconds"] <= 0.0031


def test_a_late_batch_is_made_up_for() -> None:
    clock = Clock()
    pace = pace_on(clock)
    for batch in range(10):
        clock.now += 0.5 if batch == 3 else 0.0  # fetching
        pace.spend(0.1)
    pace.finish()
    assert clock.now - 100.0 == pytest.approx(1.0)
    assert pace.counters()["waited_seconds"] == pytest.approx(0.5)
    assert pace.counters()["late_seconds"] == pytest.approx(0.0)


def test_what_the_machine_cannot_keep_up_with_is_counted() -> None:
    clock = Clock()
    pace = pace_on(clock, speedup=100.0)
    for _ in range(10):
        clock.now += 0.5
        pace.spend(1.0)
    pace.finish()
    assert pace.counters() == pytest.approx(
        {"modelled_seconds": 10.0, "waited_seconds": 0.0, "late_seconds": 4.9}
    )


@pytest.mark.parametrize("speedup", [0.5, 1.0, 600.0])
def test_waiting_is_divided_by_the_speed_up(speedup: float) -> None:
    clock = Clock()
    pace = pace_on(clock, speedup)
    for _ in range(6):
        pace.spend(100.0)
    pace.finish()
    assert clock.now - 100.0 == pytest.approx(600.0 / speedup)
    assert pace.waited == pytest.approx(pace.modelled / speedup)


def test_an_idle_device_owes_nothing() -> None:
    clock = Clock()
    pace = pace_on(clock)
    clock.now += 50.0
    pace.resume()
    pace.spend(1.0)
    pace.finish()
    assert clock.now == pytest.approx(151.0)


def test_a_wait_can_be_cancelled() -> None:
    clock = Clock()

    def cancel() -> None:
        if clock.now > 101.0:
            raise InterruptedError

    pace = pace_on(clock, check=cancel)
    with pytest.raises(InterruptedError):
        pace.spend(1e6)
    assert clock.now < 101.0 + 2 * SLICE_SECONDS
    assert max(clock.slept) == SLICE_SECONDS


def test_a_unit_waits_for_what_the_device_table_says(
    job: dict[str, Any], make_rows: Callable[..., Data]
) -> None:
    session, rows = Session(0), make_rows(50)
    session.warm(job)
    assert session.emulated() == {}
    session.load(job, start_of(job))
    session.train_start(job, 1)
    session.train_rows(*rows)
    session.train_finish()
    session.dump()
    found = session.emulated()
    assert found["modelled_seconds"] == pytest.approx(MODEL.unit_seconds("train", 50, 16))
    assert found["occupied_bytes"] == 1000 + 16 * 10
    session.load(job, start_of(job))
    session.evaluate_start(job)
    session.evaluate_rows(*rows)
    session.evaluate_finish()
    expected = MODEL.unit_seconds("valid", 50, 16)
    assert session.emulated()["modelled_seconds"] == pytest.approx(expected)


def test_building_takes_its_time_once(make_job: Callable[..., dict[str, Any]]) -> None:
    clock = Clock()
    slow = replace(MODEL, speedup=4.0)
    step = EmulatedStep("anything", 7, slow, lambda: None, pace_on(clock, slow.speedup))
    assert clock.now - 100.0 == pytest.approx(2.0)
    assert step.pace.modelled == 8.0


# --- ranks


def group_of(folder: Path, rank: int, name: str = "g", size: int = 2) -> Group:
    return Group(name, folder, rank, size, "127.0.0.1")


def ranks(folder: Path, name: str, batches: list[list[Data]]) -> list[tuple[int, Any]]:
    """Digest and traffic of each rank after its own batches."""

    def train(rank: int) -> tuple[int, Any]:
        step = EmulatedStep("anything", 7, MODEL, lambda: None)
        step.set_state(codec.decode(codec.encode(step.initial_weights(1), [], 0, step.layout)))
        with step.together(group_of(folder, rank, name, len(batches)), 16) as traffic:
            step.reseed(rank)
            for x, y in batches[rank]:
                step.train_batch(x, y)
        return step.digest(), traffic

    with ThreadPoolExecutor(len(batches)) as lanes:
        return list(lanes.map(train, range(len(batches))))


def test_ranks_end_with_one_state_that_depends_on_every_ranks_batches(
    tmp_path: Path, make_rows: Callable[..., Data]
) -> None:
    batches = [[make_rows(8, 10 * rank + step) for step in range(3)] for rank in range(2)]
    first, again = (ranks(tmp_path, name, batches) for name in ("a", "b"))
    assert len({digest for digest, _ in first}) == 1
    assert first == again
    assert [(traffic.steps, traffic.bytes) for _, traffic in first] == [(3, 3 * 120_000)] * 2
    swapped = [batches[0], [batches[1][1], batches[1][0], batches[1][2]]]
    assert ranks(tmp_path, "c", swapped)[0][0] != first[0][0]


def test_a_rank_that_does_not_come_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "MEET_SECONDS", 0.05)
    step = EmulatedStep("anything", 7, MODEL, lambda: None)
    met = step.together(group_of(tmp_path, 0), 16)
    with pytest.raises(ServerDied, match="rank 1 did not meet rank 0"), met:
        pass


# --- the process


CHILD = """
import sys
from pathlib import Path
import numpy as np
from experiments.approaches import partition_files
from experiments.models.process_group import Group
from experiments.models.worker import Block
from experiments.models import rank

class Here:
    def load(self): return {"spans": []}
    def ready(self, cache, check): return {"spans": []}
    def blocks(self, kind):
        x = np.ones((40, 12, 12, 1), np.float32)
        yield Block("only", lambda: (x, np.eye(7, dtype=np.int16)[np.arange(40) % 7]), 40)

folder, job = Path(sys.argv[1]), {"model": eval(sys.argv[2]), "seed": 3}
source, target = str(folder / "0"), str(folder / "1")
partition_files.warm(job, Here())
partition_files.create(job, source)
report = partition_files.run_unit("train", job, Here(), source, target)
assert report["counters"]["modelled_seconds"] > 0
partition_files.run_unit("valid", job, Here(), target, None)
job["framework"] = "ddp"
group = Group("g", folder, 0, 1, "127.0.0.1")
report = partition_files.train_rank(job, Here(), group, 16, [40], source, target)
assert report["counters"]["steps"] == 3
found = {"tensorflow", "torch", "keras"} & set(sys.modules)
assert not found, found
"""


def test_neither_tensorflow_nor_torch_is_imported(job: dict[str, Any], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), repr(job)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
