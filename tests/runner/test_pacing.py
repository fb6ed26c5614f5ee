"""How well a pace was kept, from journals whose times are known."""

from __future__ import annotations

import pytest

from experiments.runner import pacing
from experiments.specs.load import run_spec
from experiments.telemetry.journal import Event


def event(kind: str, worker: int, **detail: object) -> Event:
    return Event(kind, "run", 0.0, 0, worker=worker, model=0, partition=worker, epoch=1,
                 detail={"kind": "train", **detail})  # fmt: skip


def finished(worker: int, real: float, modelled: float) -> Event:
    counters = {"modelled_seconds": modelled, "waited_seconds": modelled / 10}
    return event("unit_finished", worker, seconds=real, counters=counters)


def test_what_is_not_the_devices_is_overhead() -> None:
    events = [event("unit_started", 0), finished(0, 1.25, 10.0), event("unit_started", 0)]
    found = pacing.kept(10.0, [*events, finished(0, 1.25, 10.0)])
    assert (found.units, found.batches, found.modelled) == (2, 2, 20.0)
    assert found.waited == pytest.approx(2.0)
    assert found.overhead == pytest.approx(0.2)
    assert found.dominated


def test_waiting_for_the_slowest_of_a_batch_is_none() -> None:
    starts = [event("unit_started", worker) for worker in range(3)]
    ends = [finished(worker, 3.0, 10.0 * (worker + 1)) for worker in range(3)]
    found = pacing.kept(10.0, [*starts, *ends])
    assert found.overhead == pytest.approx(0.0)
    assert not found.dominated


def test_at_the_bearable_speed_up_the_overhead_is_the_limit() -> None:
    found = pacing.kept(100.0, [finished(0, 0.3, 20.0)])
    slower = pacing.kept(found.bearable, [finished(0, 20.0 / found.bearable + 0.1, 20.0)])
    assert slower.overhead == pytest.approx(pacing.OVERHEAD_LIMIT)


def test_the_user_is_told_in_one_line() -> None:
    spec = run_spec("breakdown", "ctq", "smoke", device="p100", speedup=100.0)
    line = pacing.warning(pacing.told(spec, [finished(0, 0.3, 20.0)]))
    assert line == (
        "--speedup 100 was not held: 33 % of the time of its units is this machine's own and not "
        "p100's (100 ms a unit); --speedup 11 would be within 5 %"
    )
    assert pacing.warning(pacing.told(spec, [finished(0, 0.2, 20.0)])) is None


def test_real_training_has_no_pace() -> None:
    spec = run_spec("breakdown", "ctq", "smoke")
    assert pacing.told(spec, []) == {}
    assert pacing.warning({"evidence": "measured"}) is None
