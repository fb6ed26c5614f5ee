"""How a part of a claim compares its quantities.

=========  ======================================================================================
order      every number of a group is below every number of the next group
close      the largest number is above the smallest by the tolerance at most
between    every number lies between the bounds
ratio      every number on the left over every one on the right lies between the bounds
agrees     left over right differs from 1 by the tolerance at most, at every point of the axis
rises      the numbers do not fall along the axis
=========  ======================================================================================

What is found is one of three states. ``HOLDS``. ``DIRECTION``: a bound is missed, but on the right
side of the neutral number; or two numbers are in the wrong order by less than the tolerance, or
several runs cannot tell them apart. ``FAILS`` otherwise.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.report import statistics
from experiments.report.quantities import (
    Found,
    Point,
    Source,
    Unavailable,
    Value,
    unavailable,
)
from experiments.report.verdict import Outcome
from experiments.specs.claim import Part, Quantity


class State(enum.IntEnum):
    """What became of a comparison, the worst first."""

    FAILS = 0
    DIRECTION = 1
    HOLDS = 2


@dataclass(frozen=True)
class Compared:
    """A part, compared.

    Attributes
    ----------
    state : None where a quantity has no value.
    values : every quantity that has a value.
    lacking : why others have none; what no run at this scale would bring, if there is such.
    numbers : what was compared, as JSON holds it.
    """

    part: Part
    state: State | None
    values: tuple[tuple[Quantity, Value], ...] = ()
    lacking: tuple[Unavailable, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def evidence(self) -> frozenset[str]:
        return frozenset().union(*(value.evidence for _, value in self.values))


def compare(part: Part, source: Source) -> Compared:
    """Ask a source for the quantities of a part and compare them."""
    points = _points(part, source)
    groups = {
        name: tuple(_along(part, group, points) for group in groups)
        for name, groups in part.groups.items()
    }
    asked = list(dict.fromkeys(q for many in groups.values() for group in many for q in group))
    found: dict[Quantity, Found] = {quantity: source.value(quantity) for quantity in asked}
    lacking = unavailable(found.values())
    values = {quantity: one for quantity, one in found.items() if isinstance(one, Value)}
    if part.along and not asked:
        names = ", ".join(dict.fromkeys(q.experiment for q in part.quantities))
        reason = f"no finished runs of {names} to compare by {part.along}"
        lacking = (Unavailable(reason, Outcome.NOT_RUN, pending=True),)
    if part.relation == "rises" and len(asked) == 1:
        lacking += (Unavailable(f"one number of {part.along} only", Outcome.NOT_RUN),)
    if lacking:
        lasting = tuple(each for each in lacking if not each.pending)
        lacking = lasting or lacking  # what a run would bring does not help where more is missing
        return Compared(part, None, tuple(values.items()), lacking)
    kinds = {kind for value in values.values() for kind in value.evidence}
    if len(kinds) > 1:
        mixed = Unavailable(f"its runs are {' and '.join(sorted(kinds))}, which do not compare")
        return Compared(part, None, tuple(values.items()), (replace(mixed, pending=True),))
    state, numbers = _RELATIONS[part.relation](part, groups, values)
    return Compared(part, state, tuple(values.items()), (), numbers)


def _points(part: Part, source: Source) -> list[Point]:
    """The points of the part's axis that all of its quantities have, in order."""
    if not part.along:
        return []
    first, *others = (source.points(quantity, part.along) for quantity in part.quantities)
    return [point for point in first if all(point in other for other in others)]


def _along(part: Part, group: Sequence[Quantity], points: Sequence[Point]) -> tuple[Quantity, ...]:
    if not part.along:
        return tuple(group)
    changes: list[dict[str, Any]] = [{part.along: point} for point in points]
    return tuple(replace(quantity, **change) for quantity in group for change in changes)


_Groups = dict[str, tuple[tuple[Quantity, ...], ...]]
_Values = dict[Quantity, Value]
_Result = tuple[State, dict[str, Any]]


def _flat(groups: _Groups, values: _Values, name: str = "terms") -> list[Value]:
    return [values[quantity] for group in groups[name] for quantity in group]


def _order(part: Part, groups: _Groups, values: _Values) -> _Result:
    ordered = groups["terms"]
    states, ratios = [], []
    for lower, upper in itertools.pairwise(ordered):
        for first, second in itertools.product(lower, upper):
            states.append(_pair(values[first], values[second], part.tolerance))
            ratios.append(_over(values[second], values[first]))
    return min(states), {"next_over_this": ratios}


def _pair(first: Value, second: Value, tolerance: float) -> State:
    """Whether ``first`` is below ``second``."""
    lower, upper = first.mean, second.mean
    if statistics.can_tell(len(first.samples), len(second.samples)):
        below = statistics.p_below(first.samples, second.samples) <= statistics.SIGNIFICANT
        above = statistics.p_below(second.samples, first.samples) <= statistics.SIGNIFICANT
        if not below and not above:
            return State.DIRECTION
    if lower < upper:
        return State.HOLDS
    return State.DIRECTION if lower <= upper + tolerance * abs(upper) and tolerance else State.FAILS


def _close(part: Part, groups: _Groups, values: _Values) -> _Result:
    means = [value.mean for value in _flat(groups, values)]
    low, high = min(means), max(means)
    if part.points is not None:
        apart, limit = high - low, part.points
    else:
        apart, limit = (high / low - 1 if low > 0 else math.inf), part.tolerance
    state = State.HOLDS if apart <= limit else State.FAILS
    return state, {"apart": apart, "limit": limit}


def _over(left: Value, right: Value) -> float:
    """A ratio of means; infinite over nothing, and 1 of nothing over nothing."""
    if right.mean:
        return left.mean / right.mean
    return math.inf if left.mean else 1.0


def _between(part: Part, groups: _Groups, values: _Values) -> _Result:
    means = [value.mean for value in _flat(groups, values)]
    intervals = [statistics.interval(value.samples) for value in _flat(groups, values)]
    return _bounded(part, means), {"values": means, "intervals": intervals}


def _ratio(part: Part, groups: _Groups, values: _Values) -> _Result:
    pairs = list(itertools.product(_flat(groups, values, "left"), _flat(groups, values, "right")))
    ratios = [_over(left, right) for left, right in pairs]
    intervals = [
        statistics.interval(left.samples, right.samples) if right.mean else None
        for left, right in pairs
    ]
    return _bounded(part, ratios), {"ratios": ratios, "intervals": intervals}


def _bounded(part: Part, numbers: Sequence[float]) -> State:
    low = -math.inf if part.low is None else part.low
    high = math.inf if part.high is None else part.high
    if all(low <= number <= high for number in numbers):
        return State.HOLDS
    if part.neutral is None or low < part.neutral < high:
        return State.FAILS
    above = low >= part.neutral
    right = all(n > part.neutral if above else n < part.neutral for n in numbers)
    return State.DIRECTION if right else State.FAILS


def _agrees(part: Part, groups: _Groups, values: _Values) -> _Result:
    pairs = zip(_flat(groups, values, "left"), _flat(groups, values, "right"), strict=True)
    ratios = [_over(left, right) for left, right in pairs]
    state = State.HOLDS if all(abs(r - 1) <= part.tolerance for r in ratios) else State.FAILS
    return state, {"ratios": ratios, "limit": part.tolerance}


def _rises(part: Part, groups: _Groups, values: _Values) -> _Result:
    means = [value.mean for value in _flat(groups, values)]
    steps = list(itertools.pairwise(means))
    floor = 1 - part.tolerance
    held = all(after >= before * floor for before, after in steps) and means[-1] > means[0]
    state = State.HOLDS if held else State.DIRECTION if means[-1] > means[0] else State.FAILS
    return state, {"values": means}


_RELATIONS = {
    "order": _order,
    "close": _close,
    "between": _between,
    "ratio": _ratio,
    "agrees": _agrees,
    "rises": _rises,
}
