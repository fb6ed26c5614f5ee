"""Cerebro-Spark against Cerebro-Standalone: training time per unit, and what it costs beside it.

One run per system on the same data and configurations, two epochs, of which the second counts: the
first pays for tracing and for filling the buffer caches. Systems alternate over ``--repeat``
rounds, and ratios are of medians, so that a slow minute of the machine hits all alike. *Overhead*
is what a unit takes from its start to its end less its training: states read and written, messages,
waiting for an answer or for the next look of a system that polls. It is taken from the journal
alone, so a system needs its row in ``specs/approaches.toml`` and its name in :data:`SYSTEMS`.

    python3 reproduce.py --benchmark spark
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from training import EPOCH, unit_seconds

from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.load import run_spec
from experiments.telemetry.journal import Event, read

SYSTEMS = ("cerebro-standalone", "cerebro-spark-native")
"""Compared in this order; the first is what the others are compared with."""


@dataclass(frozen=True)
class Measured:
    """One run: seconds per unit of training and beside it, and of the whole run with its start."""

    train: float
    overhead: float
    total: float


def overheads(events: Iterable[Event]) -> list[float]:
    """Seconds from start to end, less training, of every training unit of the epoch that counts."""
    started: dict[tuple[int | None, int | None], int] = {}
    spent: dict[tuple[int | None, int | None], float] = {}
    trained: defaultdict[tuple[int | None, int | None], float] = defaultdict(float)
    for event in events:
        unit = event.model, event.partition
        if event.epoch != EPOCH:
            continue
        if event.kind == "span" and event.phase == "train":
            trained[unit] += event.seconds
        elif event.detail.get("kind") == "train" and event.kind == "unit_started":
            started[unit] = event.mono_ns
        elif event.detail.get("kind") == "train" and event.kind == "unit_finished":
            spent[unit] = (event.mono_ns - started[unit]) / 1e9
    return [seconds - trained[unit] for unit, seconds in spent.items()]


def measure(system: str, rows: int) -> Measured:
    """Carry out one run and take it away again."""
    spec = run_spec("breakdown", system, "smoke")
    data = replace(spec.dataset, train_rows=rows, valid_rows=400)
    run = planned(replace(spec, experiment="benchmark", epochs=EPOCH, dataset=data))
    shutil.rmtree(run.folder.root, ignore_errors=True)
    start = time.monotonic()
    execute(run, lambda _: None)
    total = time.monotonic() - start
    events = list(read(run.folder.journal))
    shutil.rmtree(run.folder.root)
    train = statistics.fmean(unit_seconds(events, "train"))
    return Measured(train, statistics.fmean(overheads(events)), total)


def main() -> None:
    """Run and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4000)
    options = parser.parse_args()
    found: defaultdict[str, list[Measured]] = defaultdict(list)
    for _ in range(options.repeat):
        for system in SYSTEMS:
            found[system].append(measure(system, options.rows))
    base = statistics.median(each.train for each in found[SYSTEMS[0]])
    print(
        f"| system | train per unit, s | over {SYSTEMS[0]} | overhead per unit, s | whole run, s |"
    )
    print("|---|---|---|---|---|")
    for system, runs in found.items():
        train, overhead, total = (
            statistics.median(getattr(each, name) for each in runs)
            for name in ("train", "overhead", "total")
        )
        print(f"| {system} | {train:.3f} | {train / base:.2f} | {overhead:.4f} | {total:.1f} |")


if __name__ == "__main__":
    main()
