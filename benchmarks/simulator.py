"""How long the simulators take: the release's algorithm, the policies, replicas, CP-SAT.

    python3 reproduce.py --benchmark simulator

Processor seconds of one core; compiling is done before.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from experiments.mop.optimal import known_times, optimal
from experiments.mop.policy import make_policy
from experiments.mop.release_simulation import FIGURE_16, Setting, panels
from experiments.mop.replicas import chained, simulate_replicas
from experiments.mop.simulate import Workload, makespan, simulate

POLICIES = ("random", "round_robin", "longest_first", "matching")


def workload(models: int, workers: int, seed: int = 1) -> Workload:
    """One model of ten takes twenty times as long, and no two units take exactly the same."""
    stream = np.random.default_rng(seed)
    seconds = np.where(stream.random(models) < 0.9, 1.0, 20.0)
    noise = 1.0 + 0.01 * stream.random((models, workers))
    return Workload(seconds[:, None] * noise, np.zeros(workers))


def timed(what: str, call: Callable[[], str]) -> None:
    """Print what a call says and how long it took."""
    start = time.process_time()
    said = call()
    print(f"{what:44} {time.process_time() - start:7.2f} s  {said}")


def over_bound(seconds: float, bound: float) -> str:
    """A makespan as a user reads it."""
    return f"{seconds / bound:.4f} of the bound"


def by_policy(policy: str, models: int, workers: int) -> str:
    """An epoch on the virtual clock."""
    load = workload(models, workers)
    ran = simulate(make_policy(policy, 1), load, times=known_times(load))
    return over_bound(makespan(ran), load.bound())


def replicated(models: int, workers: int, copies: int) -> str:
    """The same where every partition has copies."""
    load = workload(models, workers)
    ran = simulate_replicas(make_policy("random", 1), load, chained(workers, copies))
    return over_bound(makespan(ran), load.bound())


def searched(models: int, workers: int) -> str:
    """An optimal schedule."""
    found = optimal(workload(models, workers), effort=5.0)
    return f"{over_bound(found.seconds, found.bound)}, gap {found.gap:.4%}"


def main() -> None:
    """Print seconds and how good the schedules are."""
    parser = argparse.ArgumentParser(prog="simulator", description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--many", type=int, default=10_000, help="workers of the largest epoch")
    options = parser.parse_args()
    list(panels([Setting(4, 0.5, 2.0, 2)]))
    size = f"{options.models} x {options.workers}"
    largest = FIGURE_16[-1]
    timed(
        f"release, {largest.models} x 1, 2, ... {largest.workers}",
        lambda: f"speed-up {next(panels([largest])).speed_up[-1]:.2f}",
    )
    for policy in POLICIES:
        timed(f"{policy}, {size}", partial(by_policy, policy, options.models, options.workers))
    timed(
        f"random with three replicas, {size}",
        partial(replicated, options.models, options.workers, 3),
    )
    timed(f"round_robin, 16 x {options.many}", partial(by_policy, "round_robin", 16, options.many))
    for models in (8, 16, 32, 64):
        timed(f"optimal, {models} x 8", partial(searched, models, 8))


if __name__ == "__main__":
    main()
