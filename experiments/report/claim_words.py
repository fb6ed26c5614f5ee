"""What verdicts say: numbers, and the sentence of what decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from experiments.analysis.etl import size
from experiments.analysis.labels import PAPER_DATASETS
from experiments.report import statistics
from experiments.report.quantities import Unavailable, Value
from experiments.report.relations import Compared, State
from experiments.report.verdict import Outcome
from experiments.specs.claim import Claim, Part, Quantity
from experiments.specs.load import SCALES, approaches
from experiments.telemetry import journal

_NAMED = ("approach", "experiment", "workers", "architecture", "panel", "measure")
_STATES: Mapping[State, str] = {
    State.HOLDS: "holds",
    State.DIRECTION: "holds in direction",
    State.FAILS: "does not hold",
}
_DATA: Mapping[str, str] = {**PAPER_DATASETS, "breakdown": "ImageNet", "two-times": "ImageNet"}
"""The paper's data set that an experiment has one in the place of."""


def number(value: float, unit: str = "") -> str:
    """A number with three digits and its unit."""
    if unit == "B":
        return size(value) if value else "0 B"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text}{'' if unit in {'', '%'} else ' '}{unit}"


def numbers(compared: Iterable[Compared]) -> str:
    """Every part that has numbers, its quantities by what they differ in."""
    by_part: dict[str, list[str]] = {}
    for one in compared:
        if one.values:
            told = f"{case(one.part)}: {_values(one)}" if one.part.case else _values(one)
            by_part.setdefault(one.part.what, []).append(told)
    return "; ".join(f"{what}: {' · '.join(told)}" for what, told in by_part.items())


def case(part: Part) -> str:
    """What tells a part from its other cases."""
    return ", ".join(_selected(name, value) for name, value in part.case.items())


def named(part: Part) -> str:
    """A part by name."""
    return f"{part.what} ({case(part)})" if part.case else part.what


def _values(compared: Compared) -> str:
    quantities = [quantity for quantity, _ in compared.values]
    differ = [
        name for name in _NAMED if len({getattr(quantity, name) for quantity in quantities}) > 1
    ]
    shown = [
        f"{_name(quantity, differ)} {number(value.mean, value.unit)}".strip()
        for quantity, value in compared.values
    ]
    ratios = compared.numbers.get("ratios")
    if ratios:
        low, high = number(min(ratios)), number(max(ratios))
        shown.append(f"ratio {low}" if low == high else f"ratios {low} to {high}")
    return ", ".join(shown)


def _name(quantity: Quantity, differ: Sequence[str]) -> str:
    chosen = [(name, getattr(quantity, name)) for name in differ]
    return " ".join(_selected(name, value) for name, value in chosen if value not in {"", None})


def _selected(name: str, value: int | str) -> str:
    """A part of a quantity's name as a reader knows it."""
    if name == "workers":
        return f"W = {value}" if isinstance(value, int) else f"{value} workers"
    if name == "approach":
        row = approaches().get(str(value))
        return str(value) if row is None else row.title
    if name == "experiment":
        return _DATA.get(str(value), str(value))
    return str(value).replace("_", " ")


def lacking(found: Sequence[Unavailable], decided: int, total: int) -> str:
    """Why a claim is not decided."""
    reasons = _few([each.reason for each in found])
    return f"{decided} of {total} parts could be compared: {reasons}." if decided else f"{reasons}."


def _few(reasons: Sequence[str], most: int = 3) -> str:
    each = list(dict.fromkeys(reasons))
    more = len(each) - most
    return "; ".join(each[:most]) + (f"; and {more} more of the kind" if more > 0 else "")


def decided(shown: Sequence[Compared], every: Sequence[Compared]) -> str:
    """Which parts hold and which do not, and what could not be compared."""
    by_state: dict[State, list[str]] = {}
    for one in shown:
        if one.state is not None:
            by_state.setdefault(one.state, []).append(named(one.part))
    told = []
    for state in sorted(by_state):
        if len(by_state) == 1 and len(shown) > 1:
            told.append(f"all {len(shown)} comparisons: {_STATES[state]}")
        elif state is State.HOLDS and len(by_state) > 1:
            told.append(f"{len(by_state[state])} of {len(shown)} comparisons hold")
        else:
            told.append(f"{_STATES[state]}: {_few(by_state[state])}")
    missed = [one.part.origin for one in shown if one.state is not State.HOLDS and one.part.origin]
    if missed:
        told.append(f"limit: {_few(missed, 1)}")
    missing = [each.reason for one in every for each in one.lacking]
    if missing:
        told.append(f"not compared: {_few(missing)}")
    return "; ".join(told)


def too_small(claim: Claim, scale: str) -> str:
    """Why a scale may not decide a claim, and the command of one that may."""
    return (
        f"Runs at {scale} scale are too small to decide it: "
        f"{_command(claim, claim.scales[0])} runs what it needs."
    )


def _command(claim: Claim, scale: str) -> str:
    return f"python3 reproduce.py --experiment {' '.join(claim.needs)} --scale {scale}"


def reason(
    claim: Claim,
    what: str,
    compared: Sequence[Compared],
    settled: Mapping[str, Outcome],
    main: str,
    outcome: Outcome,
    others: Mapping[str, Outcome],
    scale: str,
) -> str:
    """The sentence of a verdict."""
    told = [what.rstrip(".")]
    if outcome is Outcome.NOT_RUN and claim.needs:
        pending = any(each.pending for one in compared for each in one.lacking)
        larger = [name for name in SCALES if name in claim.scales]
        told.append(f"run: {_command(claim, scale if pending else larger[-1])}")
    counts = [
        len(value.samples)
        for one in compared
        if one.state is not None
        for _, value in one.values
        if value.runs
    ]
    if counts:
        told.append(statistics.told(counts))
        told += _intervals(compared)
    if settled and (len(settled) > 1 or main != "equal"):
        each = ", ".join(f"{name}: {found}" for name, found in settled.items())
        told.append(f"by protocol: {each} ({claim.habits})")
    elif settled and claim.habits:
        told.append(f"under protocol {main}; the release's habits: {claim.habits}")
    told += [
        f"with {approaches()[name].title} in its place: {found}"
        for name, found in others.items()
        if found is not outcome
    ]
    sentence = ". ".join(f"{each[0].upper()}{each[1:]}" for each in told if each)
    return f"{sentence}."


def _intervals(compared: Sequence[Compared]) -> list[str]:
    """The widest of the intervals that the parts have, where several runs give some."""
    found = [
        (high - low, low, high, named(one.part))
        for one in compared
        for low, high in filter(None, one.numbers.get("intervals", ()))
    ]
    if not found:
        return []
    _, low, high, what = max(found)
    return [f"widest {statistics.LEVEL:.0%} interval {number(low)} to {number(high)} ({what})"]


def as_json(compared: Compared) -> dict[str, Any]:
    """A part as a verdict keeps it."""
    return {
        "what": named(compared.part),
        "relation": compared.part.relation,
        "state": None if compared.state is None else _STATES[compared.state],
        "origin": compared.part.origin,
        "quantities": [_quantity(quantity, value) for quantity, value in compared.values],
        "lacking": [each.reason for each in compared.lacking],
        **{name: _finite(value) for name, value in compared.numbers.items()},
    }


def _finite(value: Any) -> Any:
    """Numbers as JSON has them: what is not finite as text."""
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return journal.number(value) if isinstance(value, float) else value


def _quantity(quantity: Quantity, value: Value) -> dict[str, Any]:
    named = {key: each for key, each in asdict(quantity).items() if each not in {"", None}}
    return {**named, "samples": list(value.samples), "unit": value.unit, "runs": list(value.runs)}
