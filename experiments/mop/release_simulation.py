"""The release's own simulation of asynchronous against synchronous MOP, to the last digit.

``hetero_simluator.ipynb`` (original release, §6) made Figures 11 and 16 with two streams of random
numbers, both seeded once for a whole notebook cell: so a panel depends on those before it. The
algorithm is :class:`~experiments.mop.policy.RandomPolicy` on a virtual clock; compiled, since a
panel of the paper has two million units.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from experiments.mop.theory import speed_up, speed_up_bound

SEED = 2020
FAST = 1.0
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Setting:
    """One panel.

    Attributes
    ----------
    models : how many.
    share : of fast models.
    slow : seconds of a slow model's unit; a fast one's takes 1.
    workers : the largest number of workers; the smallest is 1.
    exact : whether ``share`` is met exactly, or models are drawn one by one.
    """

    models: int
    share: float
    slow: float
    workers: int
    exact: bool = False


@dataclass(frozen=True)
class Panel:
    """What is found for one setting, for some numbers of workers.

    Attributes
    ----------
    synchronous, asynchronous : float64 [numbers of workers], makespans of an epoch.
    speed_up, theory : float64 [numbers of workers], of asynchronous over synchronous.
    bound : the paper's eta.
    slow_models : how many were drawn.
    """

    setting: Setting
    synchronous: Floats
    asynchronous: Floats
    speed_up: Floats
    theory: Floats
    bound: float
    slow_models: int


FIGURE_16 = (
    Setting(64, 0.1, 20.0, 32),
    Setting(512, 0.1, 20.0, 32),
    Setting(512, 0.5, 20.0, 32),
    Setting(512, 0.8, 20.0, 32),
    Setting(4096, 0.9, 20.0, 32),
)
"""Panels A to E of Figure 16, in this order; Figure 11B is panel D."""

FIGURE_11A = (Setting(48, 0.8, 7.942693044033185, 8, exact=True),)
"""Figure 11A; ``slow`` is what the authors measured, as their notebook has it."""


def panels(settings: Sequence[Setting], seed: int = SEED) -> Iterator[Panel]:
    """Panels of one notebook cell, in order, for 1, 2, … workers."""
    draws = np.random.RandomState(seed)
    shuffles = random.Random(seed)
    for setting in settings:
        seconds = _workload(setting, draws, shuffles)
        counts = range(1, setting.workers + 1)

        def shuffled(units: int) -> Ints:
            pairs = list(range(units))
            shuffles.shuffle(pairs)
            return np.array(pairs)

        yield _panel(setting, seconds, counts, shuffled)


def another(setting: Setting, counts: Sequence[int], seed: int) -> Panel:
    """A draw of a setting from a stream of its own, for some numbers of workers."""
    stream = np.random.default_rng(seed)
    if setting.exact:
        fast = np.arange(setting.models) < round(setting.models * setting.share)
    else:
        fast = stream.random(setting.models) < setting.share
    seconds = stream.permutation(np.where(fast, FAST, setting.slow))
    return _panel(setting, seconds, counts, stream.permutation)


def _panel(
    setting: Setting, seconds: Floats, counts: Sequence[int], shuffled: Callable[[int], Ints]
) -> Panel:
    synchronous = np.array([_synchronous(seconds, workers) for workers in counts])
    asynchronous = np.array(
        [_scan(shuffled(len(seconds) * workers), seconds, workers) for workers in counts]
    )
    mean = float(seconds.mean())
    return Panel(
        setting,
        synchronous,
        asynchronous,
        synchronous / asynchronous,
        np.array([speed_up(w, setting.share, FAST, setting.slow, mean) for w in counts]),
        speed_up_bound(setting.slow, mean),
        int((seconds != FAST).sum()),
    )


def _workload(setting: Setting, draws: np.random.RandomState, shuffles: random.Random) -> Floats:
    """Seconds of a unit of each model, in the order of the models."""
    if setting.exact:
        fast = round(setting.models * setting.share)
        kinds = [setting.slow] * (setting.models - fast) + [FAST] * fast
        draws.shuffle(kinds)
    else:
        flags = draws.binomial(1, setting.share, setting.models)
        kinds = [FAST if flag else setting.slow for flag in flags]
    shuffles.shuffle(kinds)
    return np.array(kinds)


def _synchronous(seconds: Floats, workers: int) -> float:
    """Makespan with a barrier: worker i's list is the models' rotated right by i."""
    rotations = [np.roll(seconds, worker) for worker in range(workers)]
    return float(np.max(rotations, axis=0).sum())


def _compiled(function: Any) -> Any:
    return numba.njit(cache=True, nogil=True)(function)


@_compiled
def _scan(pairs: Ints, seconds: Floats, workers: int) -> float:
    """Makespan of the release's scan over a shuffled list of pairs.

    Every idle worker, in ascending order, takes its first listed pair whose model is idle; then
    time goes on to the earliest end, of equals the lowest worker's.

    Parameters
    ----------
    pairs : int64 [models * workers], ``model * workers + worker``, each once.
    seconds : float64 [models].
    """
    after = np.full(len(pairs), -1, np.int64)
    first = np.full(workers, -1, np.int64)
    last = np.full(workers, -1, np.int64)
    for at in range(len(pairs)):
        worker = pairs[at] % workers
        if first[worker] < 0:
            first[worker] = at
        else:
            after[last[worker]] = at
        last[worker] = at
    busy = np.zeros(len(seconds), np.bool_)
    running = np.full(workers, -1, np.int64)
    ends = np.zeros(workers)
    now = 0.0
    while True:
        for worker in range(workers):
            before, at = -1, first[worker]
            while running[worker] < 0 and at >= 0:
                model = pairs[at] // workers
                if busy[model]:
                    before, at = at, after[at]
                    continue
                if before < 0:
                    first[worker] = after[at]
                else:
                    after[before] = after[at]
                busy[model] = True
                running[worker] = model
                ends[worker] = now + seconds[model]
        earliest = -1
        for worker in range(workers):
            if running[worker] >= 0 and (earliest < 0 or ends[worker] < ends[earliest]):
                earliest = worker
        if earliest < 0:
            return now
        now = ends[earliest]
        busy[running[earliest]] = False
        running[earliest] = -1
