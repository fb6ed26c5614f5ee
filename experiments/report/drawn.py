"""Quantities that need no run: simulated and counted ones, and what theory says of a run."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping

from experiments.analysis import loc, reference
from experiments.analysis.runs import Run
from experiments.mop import theory
from experiments.mop.release_simulation import FIGURE_16, another
from experiments.report.quantities import Found, Point, Unavailable, Value
from experiments.report.run_measures import unit_seconds
from experiments.specs import loc as lists
from experiments.specs.claim import LEAST, MOST, Quantity
from experiments.specs.load import approaches

MEASURES = ("simulated_speed_up", "simulated_bound")
WORKERS: tuple[Point, ...] = (1, 2, 4, 8, 16, 32)
DRAWS = 5
"""How often a panel is drawn: its numbers are means."""

_PANELS = dict(zip("ABCDE", FIGURE_16, strict=True))


def value(quantity: Quantity) -> Found:
    """A number of a panel of Figure 16, on a virtual clock."""
    if quantity.measure == "simulated_bound":
        return Value(_bounds(quantity.panel))
    workers = quantity.workers
    if workers in {None, MOST, LEAST}:
        workers = WORKERS[0] if workers == LEAST else WORKERS[-1]
    return Value(_speed_ups(quantity.panel, int(workers or 0)), "", frozenset({"simulated"}))


@functools.cache
def _speed_ups(panel: str, workers: int) -> tuple[float, ...]:
    setting = _PANELS[panel]
    return tuple(float(another(setting, [workers], s).speed_up[0]) for s in range(DRAWS))


@functools.cache
def _bounds(panel: str) -> tuple[float, ...]:
    """Proposition 2 with the models that were drawn, of the same draws."""
    return tuple(another(_PANELS[panel], [1], seed).bound for seed in range(DRAWS))


def proposition_1(run: Run) -> float | Unavailable:
    """The speed-up that theory gives, from the units that a run had.

    The faster half of the two kinds of models is told by architecture; seconds of a unit are the
    mean of what its units took, without moving states.
    """
    seconds, configs = unit_seconds(run), run.configs
    kinds = Counter(configs[model].architecture for model in seconds)
    if len(kinds) != 2:
        return Unavailable(f"{run.name} has models of {len(kinds)} kinds, theory is of two")
    means = {
        kind: sum(s for m, s in seconds.items() if configs[m].architecture == kind) / number
        for kind, number in kinds.items()
    }
    fast, slow = sorted(kinds, key=lambda kind: means[kind])
    share = kinds[fast] / len(seconds)
    return theory.speed_up(run.spec.workers, share, means[fast], means[slow])


@functools.cache
def lines() -> Mapping[str, int]:
    """Lines of code of every approach, counted in this checkout."""
    table = loc.table(lists.load(), approaches(), reference.load()["loc"])
    return {
        str(key): int(total) for key, total in table.groupby("approach")["total"].first().items()
    }
