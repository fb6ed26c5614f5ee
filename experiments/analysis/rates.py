"""What this implementation spends beside training, as rates that larger work can be priced by.

Dispatching is a time per unit, of each approach's own runs. Moving states, reading rows and merging
are times per byte: of the runs with states of true kinds of sizes (Figure 15's) where there are any
such runs of the medium, because what a small state takes is mostly not its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from experiments.analysis import overhead, tidy
from experiments.analysis.runs import Run
from experiments.errors import DataError, SpecError

OF_UNITS = "breakdown"
"""The experiment that tells what a unit costs beside training; every approach has it."""

OF_STATES = "model-size"
"""The experiment that tells what moving a state costs."""

_TABLES, _STORE = "udaf", "ctq"
_READER, _MERGER = "cerebro-standalone", "ma"


@dataclass(frozen=True)
class Rates:
    """Seconds, measured.

    Attributes
    ----------
    dispatch : of a unit of training, by approach.
    hop_tables, hop_store : of a byte of a state that is brought or saved, through tables of the
        database and through files of the model store.
    read : of a byte of a partition's file.
    merge : of a byte that model averaging takes in or gives out.
    """

    dispatch: Mapping[str, float]
    hop_tables: float
    hop_store: float
    read: float
    merge: float


def measured(runs: Sequence[Run]) -> Rates:
    """The rates of finished runs.

    Raises
    ------
    SpecError
        A run that a rate needs is not among them.
    DataError
        A journal does not hold what it should.
    """
    units = _by_approach(runs, OF_UNITS)
    states = _by_approach(runs, OF_STATES)
    return Rates(
        dispatch={
            approach: _mean([least for run in group for least in overhead.dispatch(run)])
            for approach, group in units.items()
        },
        hop_tables=_per_byte(_of(states, _TABLES, OF_STATES), "model_transmission"),
        hop_store=_per_byte(_of(states, _STORE, OF_STATES), "model_transmission"),
        read=_per_byte(_of(units, _READER, OF_UNITS), "data_transmission"),
        merge=_merging(_of(units, _MERGER, OF_UNITS)),
    )


def summary(rates: Rates) -> pd.DataFrame:
    """The rates as a reader wants them, in words."""
    rows = {
        **{
            f"dispatching a unit, {name}": (1e3, value, "ms")
            for name, value in sorted(rates.dispatch.items())
        },
        "moving a state through tables": (1e9, rates.hop_tables, "ns a byte"),
        "moving a state through the model store": (1e9, rates.hop_store, "ns a byte"),
        "reading a partition's file": (1e9, rates.read, "ns a byte"),
        "averaging states": (1e9, rates.merge, "ns a byte"),
    }
    words = {what: f"{scale * value:.2g} {unit}" for what, (scale, value, unit) in rows.items()}
    return pd.DataFrame({"here": words})


def _by_approach(runs: Iterable[Run], experiment: str) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        if run.spec.experiment == experiment:
            found.setdefault(run.spec.approach, []).append(run)
    return found


def _of(groups: Mapping[str, list[Run]], approach: str, experiment: str) -> list[Run]:
    if approach not in groups:
        raise SpecError(f"a prediction needs a finished run of {approach} in {experiment}")
    return groups[approach]


def _per_byte(runs: Sequence[Run], phase: str) -> float:
    table = pd.concat([tidy.spans(run) for run in runs])
    table = table[(table["phase"] == phase) & (table["bytes"] > 0)]
    if table.empty:
        raise DataError(f"{runs[0].folder}: no span of {phase} tells its bytes")
    return float(table["seconds"].sum() / table["bytes"].sum())


def _merging(runs: Sequence[Run]) -> float:
    """Of what the merging worker brought and saved in the same epoch of a model."""
    seconds = moved = 0.0
    keys = ["run", "worker", "model", "epoch"]
    for run in runs:
        table = tidy.spans(run)
        merges = table[table["phase"] == "merge"].groupby(keys)["seconds"].sum()
        hops = table[table["phase"] == "model_transmission"].groupby(keys)["bytes"].max()
        seconds += float(merges.sum())
        moved += float(hops.reindex(merges.index).sum())
    if not moved:
        raise DataError(f"{runs[0].folder}: nothing was merged")
    return seconds / moved


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
