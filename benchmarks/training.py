"""Training inside the database against outside, and the schedule against its bound.

One run per approach on the same data and configurations, two epochs, of which the second counts:
the first pays for tracing and for filling the buffer caches. Approaches alternate over ``--repeat``
rounds, and ratios are of medians, so that a slow minute of the machine hits all alike.

    python3 reproduce.py --benchmark training
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from experiments.approaches.base import Trait, find
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.load import approaches, run_spec
from experiments.telemetry.journal import Event, read

BASE = "cerebro-standalone"
EPOCH = 2


def unit_seconds(events: Iterable[Event], phase: str) -> list[float]:
    """Seconds of ``phase`` per unit of the epoch that counts."""
    total: dict[tuple[int | None, int | None], float] = defaultdict(float)
    for event in events:
        if event.kind == "span" and event.phase == phase and event.epoch == EPOCH:
            total[event.model, event.partition] += event.seconds
    return list(total.values())


def over_bound(events: Sequence[Event], workers: int) -> float:
    """Time of the epoch's training over ``max(total / W, longest model)``, in unit times."""
    started: dict[tuple[int | None, int | None], int] = {}
    per_model: dict[int | None, float] = defaultdict(float)
    first, last = None, 0
    for event in events:
        if event.epoch != EPOCH or event.detail.get("kind") != "train":
            continue
        unit = event.model, event.partition
        if event.kind == "unit_started":
            started[unit] = event.mono_ns
            first = event.mono_ns if first is None else first
        elif event.kind == "unit_finished":
            per_model[event.model] += (event.mono_ns - started[unit]) / 1e9
            last = event.mono_ns
    assert first is not None
    bound = max(sum(per_model.values()) / workers, *per_model.values())
    return (last - first) / 1e9 / bound


def main() -> None:
    """Run and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4000)
    options = parser.parse_args()
    hopping = [name for name in approaches() if Trait.HOPS in find(name).traits]
    train: dict[str, list[float]] = defaultdict(list)
    hops: dict[str, list[float]] = defaultdict(list)
    bound: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.repeat):
        for name in hopping:
            spec = run_spec("breakdown", name, "laptop", workers=2)
            data = replace(spec.dataset, train_rows=options.rows, valid_rows=400)
            run = planned(replace(spec, experiment="benchmark", epochs=2, dataset=data))
            shutil.rmtree(run.folder.root, ignore_errors=True)
            execute(run, lambda _: None)
            events = list(read(run.folder.journal))
            train[name].append(statistics.fmean(unit_seconds(events, "train")))
            hops[name].append(statistics.fmean(unit_seconds(events, "model_transmission")))
            bound[name].append(over_bound(events, spec.workers))
            shutil.rmtree(run.folder.root)
    print("| approach | train per unit, s | over Standalone | hop per unit, s | MOP over bound |")
    print("|---|---|---|---|---|")
    for name in hopping:
        seconds = statistics.median(train[name])
        ratio = seconds / statistics.median(train[BASE])
        print(
            f"| {name} | {seconds:.3f} | {ratio:.2f} | {statistics.median(hops[name]):.4f} "
            f"| {statistics.median(bound[name]):.3f} |"
        )


if __name__ == "__main__":
    main()
