"""The solver of :mod:`experiments.mop.optimal`, in a process of its own.

OR-Tools and TensorFlow each bring a build of the same C++ libraries: in one process the solver
crashes. ``python -m experiments.mop.cp_sat`` reads a problem from its standard input as JSON and
writes what it found.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any


def solve(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Starts that end soon, and a lower bound.

    Parameters
    ----------
    asked : ``ticks`` [models][workers], how long each unit takes; ``ready`` [workers]; ``least``
        and ``horizon``, between which the last end lies; ``hint``, triples of model, worker and
        start; ``effort``, ``seed`` and ``threads`` of the search.

    Returns
    -------
    ``starts``, triples as in the hint, empty where none were found, and ``bound``; in ticks.
    """
    from ortools.sat.python import cp_model

    ticks, horizon = asked["ticks"], asked["horizon"]
    model = cp_model.CpModel()
    starts: dict[tuple[int, int], Any] = {}
    of_model: list[list[Any]] = [[] for _ in ticks]
    of_worker: list[list[Any]] = [[] for _ in asked["ready"]]
    last = model.new_int_var(asked["least"], horizon, "last")
    for m, row in enumerate(ticks):
        for w, long in enumerate(row):
            start = model.new_int_var(asked["ready"][w], horizon - long, f"{m} {w}")
            unit = model.new_fixed_size_interval_var(start, long, f"{m} on {w}")
            of_model[m].append(unit)
            of_worker[w].append(unit)
            model.add(start + long <= last)
            starts[m, w] = start
    for together in (*of_model, *of_worker):
        model.add_no_overlap(together)
    for m, w, start in asked["hint"]:
        model.add_hint(starts[m, w], start)
    model.minimize(last)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = asked["threads"]
    solver.parameters.interleave_search = asked["threads"] > 1
    solver.parameters.random_seed = asked["seed"]
    solver.parameters.max_deterministic_time = asked["effort"]
    solver.parameters.max_time_in_seconds = 5 * asked["effort"]
    status = solver.solve(model)
    found = status in {cp_model.OPTIMAL, cp_model.FEASIBLE}
    return {
        "starts": [[m, w, solver.value(each)] for (m, w), each in starts.items()] if found else [],
        "bound": solver.best_objective_bound,
    }


if __name__ == "__main__":
    json.dump(solve(json.load(sys.stdin)), sys.stdout)
