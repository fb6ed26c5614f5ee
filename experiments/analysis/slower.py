"""Whether MA learns slower than the other approaches, computed from the curves."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

MA = "ma"
CLOSE = 0.01
"""Means that differ by less than this part of MA's count as equal."""


def sentence(where: str, curves: pd.DataFrame) -> str:
    """One sentence on MA against each other approach.

    An approach's speed is the mean over all epochs of its best configuration's measure: the lower,
    the faster it learned.

    Parameters
    ----------
    where : what the sentence is about, for example a data set.
    curves : rows of :func:`experiments.analysis.curves.drawn`.
    """
    speeds = _speeds(curves)
    silent = [title for title in map(str, curves["title"].unique()) if title not in speeds]
    of_ma = curves.loc[curves["approach"] == MA, "title"]
    mine = None if of_ma.empty else speeds.pop(of_ma.iloc[0], None)
    if mine is None:
        return f"{where}: no curve of MA, so nothing is said of its speed."
    if not speeds:
        return f"{where}: no curve but MA's, so nothing is said of its speed."
    ma = _mean(mine)
    faster = [title for title in speeds if ma - _mean(speeds[title]) > CLOSE * ma]
    if len(faster) == len(speeds):
        verdict = f"MA learns slower than every other approach{' that has a curve' * bool(silent)}"
    elif faster:
        rest = ", ".join(title for title in speeds if title not in faster)
        verdict = f"MA learns slower than {', '.join(faster)}, but not than {rest}"
    else:
        verdict = "MA does not learn slower than the others"
    means = [_mean(values) for values in speeds.values()]
    low, high = f"{min(means):.3g}", f"{max(means):.3g}"
    others = low if low == high else f"{low} to {high}"
    epochs = curves["epoch"].nunique()
    over = "after one epoch" if epochs == 1 else f"mean over {epochs} epochs"
    return f"{where}: {verdict} ({over} {ma:.3g} against {others}{_spread(mine, speeds)})."


def _speeds(curves: pd.DataFrame) -> dict[str, list[float]]:
    """Per curve, one mean over the epochs for each seed; without curves that are not finite."""
    found: dict[str, list[float]] = {}
    for (title, _), part in curves.groupby(["title", "seed"], dropna=False, sort=False):
        mean = part["value"].astype(float).mean(skipna=False)
        found.setdefault(str(title), []).append(mean)
    return {title: means for title, means in found.items() if all(map(math.isfinite, means))}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _spread(mine: list[float], speeds: Mapping[str, list[float]]) -> str:
    """Whether the seeds agree; nothing for the paper's curves and for one seed, which cannot."""
    if len(mine) == 1:
        return ""
    others = [value for values in speeds.values() for value in values]
    apart = min(mine) > max(others) or max(mine) < min(others)
    return f"; over {len(mine)} seeds the ranges {'do not overlap' if apart else 'overlap'}"
