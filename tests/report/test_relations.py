"""Each relation, for each state and for what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from experiments.report.quantities import Found, Unavailable
from experiments.report.relations import Compared, State, compare
from experiments.report.verdict import Outcome
from experiments.specs.claim import Part, Quantity
from tests.report.made_up_claims import Numbers, value

A, B, C = (Quantity("execution", "e2e-imagenet", name) for name in ("ctq", "udaf", "ma"))


def part(relation: str, groups: Mapping[str, Sequence[Sequence[Quantity]]], **more: Any) -> Part:
    defaults: dict[str, Any] = {
        "tolerance": 0.0,
        "points": None,
        "low": None,
        "high": None,
        "neutral": None,
        "along": "",
        "origin": "",
        "source": "",
    }
    each = {name: tuple(map(tuple, groups)) for name, groups in groups.items()}
    return Part("what", {}, relation, each, **{**defaults, **more})


def found(one: Part, numbers: Mapping[Quantity, Found], axis: Sequence[int] = ()) -> Compared:
    return compare(one, Numbers(lambda quantity: numbers[quantity], tuple(axis)))


@pytest.mark.parametrize(
    ("numbers", "tolerance", "state"),
    [
        ((1.0, 2.0, 3.0), 0.0, State.HOLDS),
        ((2.05, 2.0, 3.0), 0.08, State.DIRECTION),  # in the wrong order by less than the spread
        ((2.05, 2.0, 3.0), 0.0, State.FAILS),
        ((2.0, 2.0, 3.0), 0.0, State.FAILS),
        ((2.5, 2.0, 3.0), 0.08, State.FAILS),
    ],
)
def test_order(numbers: tuple[float, ...], tolerance: float, state: State) -> None:
    one = part("order", {"terms": [[A], [B], [C]]}, tolerance=tolerance)
    told = found(one, dict(zip((A, B, C), map(value, numbers), strict=True)))
    assert told.state is state


def test_everything_in_a_group_is_below_everything_in_the_next() -> None:
    one = part("order", {"terms": [[A, B], [C]]})
    assert found(one, {A: value(3.0), B: value(1.0), C: value(4.0)}).state is State.HOLDS
    assert found(one, {A: value(3.0), B: value(1.0), C: value(2.0)}).state is State.FAILS


def test_several_runs_that_overlap_are_not_told_apart() -> None:
    one = part("order", {"terms": [[A], [B]]})
    apart = {A: value(1.0, 1.1, 1.2, 1.3), B: value(2.0, 2.1, 2.2, 2.3)}
    overlapping = {A: value(1.0, 2.0, 1.1, 1.9), B: value(1.5, 1.6, 1.4, 2.1)}
    assert found(one, apart).state is State.HOLDS
    assert found(one, {A: apart[B], B: apart[A]}).state is State.FAILS
    assert found(one, overlapping).state is State.DIRECTION
    two_each = {key: value(*each.samples[:2]) for key, each in overlapping.items()}
    assert found(one, two_each).state is State.HOLDS  # too few to tell: the means count


@pytest.mark.parametrize(
    ("numbers", "limit", "state"),
    [
        ((1.0, 1.1), {"tolerance": 0.1001}, State.HOLDS),
        ((1.0, 1.2), {"tolerance": 0.1}, State.FAILS),
        ((0.31, 0.33), {"points": 0.023}, State.HOLDS),
        ((0.31, 0.34), {"points": 0.023}, State.FAILS),
        ((0.0, 0.1), {"tolerance": 0.1}, State.FAILS),
    ],
)
def test_close(numbers: tuple[float, float], limit: dict[str, float], state: State) -> None:
    told = found(
        part("close", {"terms": [[A], [B]]}, **limit), {A: value(numbers[0]), B: value(numbers[1])}
    )
    assert told.state is state


@pytest.mark.parametrize(
    ("number", "neutral", "state"),
    [
        (3.0, 1.0, State.HOLDS),
        (2.0, 1.0, State.DIRECTION),
        (7.0, 1.0, State.DIRECTION),
        (0.9, 1.0, State.FAILS),
        (2.0, None, State.FAILS),
    ],
)
def test_between(number: float, neutral: float | None, state: State) -> None:
    one = part("between", {"terms": [[A]]}, low=2.95, high=6.05, neutral=neutral)
    assert found(one, {A: value(number)}).state is state


@pytest.mark.parametrize(
    ("bounds", "left", "state"),
    [
        ((2.5, 3.5), 3.0, State.HOLDS),
        ((2.5, 3.5), 16.0, State.DIRECTION),
        ((2.5, 3.5), 0.9, State.FAILS),
        ((None, 0.9), 0.8, State.HOLDS),
        ((None, 0.9), 0.95, State.DIRECTION),
        ((None, 0.9), 1.1, State.FAILS),
        ((0.5, 2.0), 3.0, State.FAILS),  # 1 lies between: there is no direction
    ],
)
def test_ratio(bounds: tuple[float | None, float], left: float, state: State) -> None:
    low, high = bounds
    one = part("ratio", {"left": [[A]], "right": [[B]]}, low=low, high=high, neutral=1.0)
    told = found(one, {A: value(left), B: value(1.0)})
    assert told.state is state
    assert told.numbers["ratios"] == [left]


def test_every_one_on_the_left_is_compared_with_every_one_on_the_right() -> None:
    one = part("ratio", {"left": [[A], [B]], "right": [[C]]}, low=2.0, neutral=1.0)
    assert found(one, {A: value(3.0), B: value(1.5), C: value(1.0)}).state is State.DIRECTION


def along(numbers: Sequence[float], quantity: Quantity = A) -> dict[Quantity, Found]:
    measure, experiment, approach = quantity.measure, quantity.experiment, quantity.approach
    return {
        Quantity(measure, experiment, approach, workers): value(number)
        for workers, number in zip((2, 4, 8), numbers, strict=False)
    }


@pytest.mark.parametrize(
    ("numbers", "tolerance", "state"),
    [
        ((1.0, 2.0, 3.0), 0.0, State.HOLDS),
        ((1.0, 3.0, 2.97), 0.015, State.HOLDS),
        ((1.0, 3.0, 2.0), 0.015, State.DIRECTION),
        ((3.0, 2.0, 1.0), 0.0, State.FAILS),
        ((1.0, 1.0, 1.0), 0.0, State.FAILS),
    ],
)
def test_rises(numbers: tuple[float, ...], tolerance: float, state: State) -> None:
    one = part("rises", {"terms": [[A]]}, along="workers", tolerance=tolerance)
    assert found(one, along(numbers), (2, 4, 8)).state is state


def test_agrees_at_every_point() -> None:
    one = part("agrees", {"left": [[A]], "right": [[B]]}, along="workers", tolerance=0.1)
    theory = along((1.0, 2.0, 3.0), B)
    assert found(one, along((1.05, 2.1, 2.8)) | theory, (2, 4, 8)).state is State.HOLDS
    assert found(one, along((1.05, 2.1, 3.5)) | theory, (2, 4, 8)).state is State.FAILS


@pytest.mark.parametrize(("axis", "told"), [((), "to compare by workers"), ((2,), "only")])
def test_an_axis_without_points_decides_nothing(axis: tuple[int, ...], told: str) -> None:
    one = part("rises", {"terms": [[A]]}, along="workers")
    undecided = found(one, along((1.0, 2.0, 3.0)), axis)
    assert undecided.state is None
    assert told in undecided.lacking[0].reason


def test_what_is_missing_is_told_and_decides_nothing() -> None:
    lost = Unavailable("no run", Outcome.NOT_RUN, pending=True)
    told = found(part("order", {"terms": [[A], [B]]}), {A: value(1.0), B: lost})
    assert (told.state, told.lacking) == (None, (lost,))
    assert [quantity for quantity, _ in told.values] == [A]


def test_kinds_of_evidence_are_not_mixed() -> None:
    numbers: dict[Quantity, Found] = {A: value(1.0), B: value(2.0, evidence="emulated")}
    told = found(part("order", {"terms": [[A], [B]]}), numbers)
    assert told.state is None
    assert "emulated and measured" in told.lacking[0].reason
