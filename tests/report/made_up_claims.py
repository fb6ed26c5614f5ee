"""Numbers made up so that a part of a claim holds, holds in direction, or does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from experiments.report import drawn
from experiments.report.quantities import Found, Point, Unavailable, Value
from experiments.specs.claim import Part, Quantity

Make = Callable[[Quantity], Found]


@dataclass(frozen=True)
class Numbers:
    """A source that answers from a function."""

    make: Make
    axis: tuple[Point, ...] = (2, 4, 8)
    asked: list[Quantity] = field(default_factory=list)

    def value(self, quantity: Quantity) -> Found:
        self.asked.append(quantity)
        return self.make(quantity)

    def points(self, quantity: Quantity, axis: str) -> tuple[Point, ...]:
        return self.axis


def value(*samples: float, evidence: str = "measured", runs: Sequence[str] = ("run",)) -> Value:
    return Value(samples, "s", frozenset({evidence}), tuple(runs))


def _of(quantity: Quantity, number: float) -> Value:
    kind = "simulated" if quantity.measure in drawn.MEASURES else "measured"
    return value(number, evidence=kind)


def holding(part: Part) -> Numbers:
    """Numbers with which the part holds."""
    return Numbers(lambda quantity: _of(quantity, _good(part, quantity)))


def violating(part: Part) -> Numbers:
    """Numbers with which it does not hold, not even in direction."""
    return Numbers(lambda quantity: _of(quantity, _bad(part, quantity)))


def without(reason: Unavailable) -> Numbers:
    """No numbers at all."""
    return Numbers(lambda quantity: reason)


def _good(part: Part, quantity: Quantity) -> float:
    match part.relation:
        case "order":
            return 1.0 + _group(part, quantity)
        case "between":
            return _inside(part)
        case "ratio":
            return _inside(part) if _side(part, quantity) == "left" else 1.0
        case "rises":
            return 1.0 + _place(quantity)
    return 1.0


def _bad(part: Part, quantity: Quantity) -> float:
    match part.relation:
        case "order":
            return 100.0 / (1 + _group(part, quantity))
        case "close":
            return 10_000.0 * (1 + part.quantities.index(quantity))
        case "between":
            return _outside(part)
        case "ratio":
            return _outside(part) if _side(part, quantity) == "left" else 1.0
        case "agrees":
            return 10.0 if _side(part, quantity) == "left" else 1.0
    return 1.0 / (1 + _place(quantity))


def _inside(part: Part) -> float:
    low, high = part.low, part.high
    if low is not None and high is not None:
        return (low + high) / 2
    return low * 1.5 if low is not None else (high or 0.0) / 2


def _outside(part: Part) -> float:
    """Beyond the bounds, on the wrong side of the neutral number if there is one."""
    if part.low is not None:
        return 0.5 * min(part.low, part.neutral or part.low)
    assert part.high is not None
    return 2 * max(part.high, part.neutral or part.high)


def _group(part: Part, quantity: Quantity) -> int:
    groups = part.groups["terms"]
    return next(at for at, group in enumerate(groups) if quantity in group)


def _side(part: Part, quantity: Quantity) -> str:
    on_left = {q.measure for group in part.groups["left"] for q in group} - {
        q.measure for group in part.groups["right"] for q in group
    }
    if on_left:
        return "left" if quantity.measure in on_left else "right"
    return "left" if any(quantity in group for group in part.groups["left"]) else "right"


def _place(quantity: Quantity) -> int:
    point = quantity.workers if quantity.architecture == "" else quantity.architecture
    return (2, 4, 8).index(point)
