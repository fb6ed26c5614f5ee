"""Emulated runs whose journals are a simulated schedule: what figures make of them is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.analysis.runs import Run
from experiments.mop.policy import make_policy
from experiments.mop.simulate import Ran, Workload, simulate
from experiments.specs.load import run_spec
from experiments.specs.model import RunSpec
from experiments.telemetry.journal import Event

SECOND = 1_000_000_000


def emulated(
    experiment: str, approach: str, *, workers: int, policy: str | None = None, seed: int = 2018
) -> RunSpec:
    return run_spec(experiment, approach, "smoke", workers=workers, policy=policy, seed=seed)


def schedule(spec: RunSpec) -> list[Ran]:
    """The run's epoch as the simulator has it, in seconds of the clock on the wall."""
    assert spec.emulation is not None
    rows = [spec.dataset.train_rows // spec.workers] * spec.workers
    workload = Workload.on(spec.emulation, spec.configs, rows)
    ran = simulate(
        make_policy(spec.policy, spec.seed), workload, barrier=spec.policy == "round_robin"
    )
    by = spec.emulation.speedup
    return [Ran(each.start / by, each.end / by, each.unit) for each in ran]


def run(spec: RunSpec, name: str, ran: list[Ran], *, stretch: float = 1.0, state: int = 4) -> Run:
    """A finished run of these units.

    Parameters
    ----------
    stretch : every time is so many times as long.
    state : bytes of a model's state, times its number plus 1, moved in a tenth of a unit's time.
    """
    zero = 7 * SECOND
    end = zero + round(stretch * max(each.end for each in ran) * SECOND)
    events = [_mark("run_started", name, 0), _mark("epoch_started", name, zero, epoch=1)]
    for each in ran:
        unit = each.unit
        first, last = (zero + round(stretch * at * SECOND) for at in (each.start, each.end))
        moved = first + (last - first) // 10
        keys: dict[str, Any] = {
            "worker": unit.worker,
            "model": unit.model,
            "partition": unit.partition,
            "epoch": 1,
        }
        events.append(Event("unit_started", name, 0.0, first, **keys))
        for phase, start, until, size in (
            ("model_transmission", first, moved, state * (unit.model + 1)),
            ("train", moved, last, 0),
        ):
            span: dict[str, Any] = {
                "phase": phase,
                "start_ns": start,
                "end_ns": until,
                "bytes": size,
            }
            events.append(Event("span", name, 0.0, until, **keys, **span))
        events.append(Event("unit_finished", name, 0.0, last, **keys, detail={"kind": "train"}))
    events.append(_mark("epoch_finished", name, end, epoch=1))
    pace = {"overhead_seconds_per_unit": 0.0}
    return Run(name, Path(name), spec, spec.evidence, 10, {}, tuple(events), 0, pace)


def _mark(kind: str, name: str, at: int, epoch: int | None = None) -> Event:
    return Event(kind, name, 0.0, at, epoch=epoch)
