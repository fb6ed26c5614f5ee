"""Schedules that are proven to be short: open-shop scheduling by constraint programming.

Units of one model exclude each other, and so do units of one worker; the last end is to come as
soon as it can (Cerebro, PVLDB 13(11), §5: NP-hard). There it was a mixed-integer program, which had
often not converged after five minutes; CP-SAT branches on the order of intervals and has a bound of
its own. It knows every duration beforehand, which no policy does.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.errors import ReproduceError, SpecError
from experiments.mop import cp_sat
from experiments.mop.policy import (
    LongestFirstPolicy,
    MatchingPolicy,
    RandomPolicy,
    RoundRobinPolicy,
)
from experiments.mop.simulate import Ran, Workload, makespan, simulate
from experiments.mop.state import UnitTimes
from experiments.mop.unit import Unit
from experiments.paths import CHECKOUT

_TICKS = 1000
"""Ticks of the solver's clock in the shortest unit."""

_CLOSE = 1e-9


@dataclass(frozen=True)
class Schedule:
    """The best schedule found.

    Attributes
    ----------
    ran : its units, in order of their start.
    seconds : its makespan.
    bound : no schedule is shorter, in seconds.
    """

    ran: Sequence[Ran]
    seconds: float
    bound: float

    @property
    def gap(self) -> float:
        """How much longer than the bound it is, as a part of it; 0 where it is proven optimal."""
        return max(self.seconds / self.bound - 1, 0.0)


def known_times(workload: Workload) -> UnitTimes:
    """A workload's mean seconds for each model, as if they had been measured in a pilot run."""
    times = UnitTimes(workload.models)
    for model, seconds in enumerate(workload.seconds.mean(axis=1).tolist()):
        times.add(model, seconds)
    return times


def optimal(
    workload: Workload, *, effort: float = 5.0, seed: int = 0, threads: int = 1
) -> Schedule:
    """A schedule of an epoch that is never longer than those of the policies.

    The best that they find is where the search begins; where that already meets the trivial bound
    (:meth:`Workload.bound`), there is none.

    Parameters
    ----------
    effort : limit of the search, in the solver's deterministic seconds (on an idle core about real
        ones); it ends after five times as many real seconds in any case.
    seed : of the solver and of the policies.
    threads : that search; the result depends on the seed and on these, not on the machine's load.

    Raises
    ------
    SpecError
        Workers that go away, no effort, or no thread.
    """
    if any(workload.absences.values()):
        raise SpecError("an optimal schedule is one of workers that stay")
    if effort <= 0 or threads < 1:
        raise SpecError(f"a search takes time and threads, not {effort:g} s and {threads}")
    hint = _best_of_policies(workload, seed)
    trivial = workload.bound()
    if makespan(hint) <= trivial * (1 + _CLOSE):
        return Schedule(hint, makespan(hint), makespan(hint))
    found, bound = _search(workload, hint, effort, seed, threads)
    best = min(hint, found, key=makespan)
    seconds = makespan(best)
    return Schedule(best, seconds, min(max(trivial, bound), seconds))


def _best_of_policies(workload: Workload, seed: int) -> list[Ran]:
    tried = [
        simulate(policy(seed), workload, times=known_times(workload))
        for policy in (RoundRobinPolicy, LongestFirstPolicy, MatchingPolicy, RandomPolicy)
    ]
    return sorted(min(tried, key=makespan))


def _search(
    workload: Workload, hint: Sequence[Ran], effort: float, seed: int, threads: int
) -> tuple[list[Ran], float]:
    """A schedule and a lower bound, in seconds.

    Durations are rounded down to ticks, so the bound holds; the schedule is what the order of the
    solver's starts gives with the true ones.
    """
    tick = float(workload.seconds.min()) / _TICKS
    asked = {
        "ticks": np.floor(workload.seconds / tick + 1e-6).astype(int).tolist(),
        "ready": np.floor(workload.start / tick).astype(int).tolist(),
        "least": math.floor(workload.bound() / tick - 1e-6),
        "horizon": math.ceil(makespan(hint) / tick),
        "hint": [[each.unit.model, each.worker, math.floor(each.start / tick)] for each in hint],
        "effort": effort,
        "seed": seed,
        "threads": threads,
    }
    done = subprocess.run(
        [sys.executable, "-m", cp_sat.__name__],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    if done.returncode != 0:
        raise ReproduceError(f"the solver ended with {done.returncode}:\n{done.stderr.rstrip()}")
    found = json.loads(done.stdout)
    bound = float(found["bound"]) * tick
    if not found["starts"]:
        return list(hint), bound
    order = [(m, w) for _, m, w in sorted((start, m, w) for m, w, start in found["starts"])]
    return _in_order(workload, order, hint[0].unit.epoch), bound


def _in_order(workload: Workload, order: Sequence[tuple[int, int]], epoch: int) -> list[Ran]:
    """Every unit as soon as its worker and its model are free, in an order."""
    free_models, free_workers = [0.0] * workload.models, workload.start.tolist()
    ran = []
    for m, w in order:
        start = max(free_models[m], free_workers[w])
        end = start + float(workload.seconds[m, w])
        free_models[m] = free_workers[w] = end
        ran.append(Ran(start, end, Unit(m, w, epoch), w))
    return sorted(ran)
