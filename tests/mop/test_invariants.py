"""The checker finds each planted violation and names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import InvariantViolation
from experiments.mop.invariants import check
from experiments.telemetry.journal import Event


def event(
    kind: str, model: int, worker: int, epoch: int = 1, of: str = "train", **more: int
) -> Event:
    return Event(
        kind,
        "planted",
        0.0,
        0,
        worker=worker,
        model=model,
        partition=worker,
        epoch=epoch,
        detail={"kind": of, **more},
    )


def opened(epoch: int = 1) -> Event:
    return Event("epoch_started", "planted", 0.0, 0, epoch=epoch)


def unit(model: int, worker: int, version: int, epoch: int = 1) -> list[Event]:
    return [
        event("unit_started", model, worker, epoch),
        event("unit_finished", model, worker, epoch, version=version),
    ]


def good() -> list[Event]:
    """Two models on two workers: side by side, then the other way round."""
    first, second = unit(0, 0, 1), unit(1, 1, 1)
    third, fourth = unit(0, 1, 2), unit(1, 0, 2)
    return [
        opened(),
        first[0],
        second[0],
        second[1],
        first[1],
        third[0],
        fourth[0],
        third[1],
        fourth[1],
    ]


def test_a_good_epoch_passes() -> None:
    check(good(), 2, 2, [1])
    check([*good(), event("unit_started", 0, 0, of="valid")], 2, 2, [1])
    check([], 2, 2, [])


def test_other_events_and_evaluation_on_several_workers_pass() -> None:
    events = [
        *good(),
        Event("span", "planted", 0.0, 0, worker=0, phase="idle", start_ns=0, end_ns=1),
        event("unit_started", 0, 0, of="valid"),
        event("unit_started", 0, 1, of="valid"),
        event("unit_finished", 0, 0, of="valid"),
        event("unit_finished", 0, 1, of="valid"),
    ]
    check(events, 2, 2, [1])


PLANTED: dict[str, tuple[Callable[[], list[Event]], str]] = {
    "a unit is missing": (
        lambda: [*good()[:5], *unit(0, 1, 2)],
        "completeness: 1 of 4 units of epoch 1 are not finished: model 1 on partition 0 in epoch 1",
    ),
    "an epoch is missing": (
        lambda: [replace(e, epoch=2) for e in good()],
        "completeness: 4 of 4 units of epoch 1 are not finished: .* and 3 more",
    ),
    "a unit too many": (
        lambda: [*good(), *unit(2, 0, 1)],
        "completeness: 1 of 4 units of epoch 1 are not part of this run: model 2",
    ),
    "a unit has no name": (
        lambda: [replace(event("unit_started", 0, 0), model=None)],
        "completeness: a unit_started in the journal names no unit",
    ),
    "a failed unit was not repeated": (
        lambda: [
            *unit(0, 0, 1),
            event("unit_started", 0, 1),
            event("unit_failed", 0, 1),
            *unit(1, 0, 1),
            *unit(1, 1, 2),
        ],
        "completeness: 1 of 4 units of epoch 1 are not finished: model 0 on partition 1",
    ),
    "a model in two places": (
        lambda: [event("unit_started", 0, 0), event("unit_started", 0, 1)],
        "isolation: model 0 on partition 1 in epoch 1 was started while model 0 on partition 0",
    ),
    "a model in two places of two epochs": (
        lambda: [event("unit_started", 0, 0), opened(2), event("unit_started", 0, 1, epoch=2)],
        "isolation: model 0 on partition 1 in epoch 2 was started while",
    ),
    "two models on a worker": (
        lambda: [event("unit_started", 0, 0), event("unit_started", 1, 0)],
        "exclusivity: model 1 on partition 0 in epoch 1 was started on worker 0 while model 0",
    ),
    "an evaluation beside training": (
        lambda: [event("unit_started", 0, 0), event("unit_started", 1, 0, of="valid")],
        "exclusivity: model 1 on partition 0",
    ),
    "a unit finished twice": (
        lambda: [*unit(0, 0, 1), event("unit_finished", 0, 0, version=2)],
        "non-preemption: model 0 on partition 0 in epoch 1 ended but was not running",
    ),
    "a unit repeated after it finished": (
        lambda: [*unit(0, 0, 1), *unit(0, 0, 2)],
        "non-preemption: .* was started again after it finished",
    ),
    "a unit restarted while it ran": (
        lambda: [event("unit_started", 0, 0), event("unit_started", 0, 0)],
        "non-preemption: .* was started again while it ran",
    ),
    "a unit that moved": (
        lambda: [
            event("unit_started", 0, 0),
            replace(event("unit_finished", 0, 0, version=1), worker=1),
        ],
        "non-preemption: .* was started on worker 0 and ended on 1",
    ),
    "a lost state": (
        lambda: [*unit(0, 0, 1), *unit(0, 1, 1)],
        "non-preemption: .* took its state from version 1 to 1",
    ),
    "a unit interrupted and still counted": (
        lambda: [event("unit_started", 0, 0), opened(), event("unit_finished", 0, 0, version=1)],
        "non-preemption: .* ended but was not running",
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_each_planted_violation_is_found_and_named(case: str) -> None:
    events, message = PLANTED[case]
    with pytest.raises(InvariantViolation, match=message):
        check([opened(), *events()] if case.startswith("a unit interr") else events(), 2, 2, [1])


@pytest.mark.parametrize("mark", ["run_started", "interrupted", "epoch_started"])
def test_units_lost_to_a_restart_are_repeated(mark: str) -> None:
    restart = Event(mark, "planted", 0.0, 0, epoch=1)
    events = good()
    check([opened(), event("unit_started", 0, 0), restart, *events[1:]], 2, 2, [1])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_lost_mark_is_found(data: st.DataObject) -> None:
    events = good()
    del events[data.draw(st.integers(1, len(events) - 1))]
    with pytest.raises(InvariantViolation):
        check(events, 2, 2, [1])
