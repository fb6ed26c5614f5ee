"""Cerebro-Spark native against Standalone in training time, and against the package in all else.

*Training*: one run per system on the same data and configurations, two epochs, of which the second
counts: the first pays for tracing and for filling the buffer caches. Systems alternate over
``--repeat`` rounds, and ratios are of medians, so that a slow minute of the machine hits all alike.

*Toy*: three small networks, two epochs, two partitions of 1,000 rows: units of a tenth of a second,
so that what is done for a unit weighs more than the unit. The published package runs with its
polling period as shipped and with 0.05 s. *Overhead* is what else a worker's time went into, per
unit, from the first epoch's start to the last one's end: states, messages, noticing the end of a
unit, waiting.

    python3 reproduce.py --benchmark spark
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from training import EPOCH, unit_seconds

from experiments.analysis import durations, runs, tidy
from experiments.cli import environment, setup
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.load import approaches, protocols, run_spec
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec
from experiments.telemetry.journal import read

STANDALONE, NATIVE, PACKAGE = "cerebro-standalone", "cerebro-spark-native", "cerebro-spark"
POLLING_SECONDS = (2.0, 0.05)
"""As shipped, and as fast as makes a difference."""
CONFIGS = tuple(ModelConfig("mlp-tiny", rate, 1e-4, 32) for rate in (1e-2, 1e-3, 1e-4))


@dataclass(frozen=True)
class Toy:
    """What a run of the toy workload took, in seconds.

    Attributes
    ----------
    whole : from the command to its end, servers included.
    epochs : from the first epoch's start to the last one's end.
    training : a unit's own training or evaluation, mean over all units.
    overhead : what else a worker's time in the epochs went into, per unit.
    """

    whole: float
    epochs: float
    training: float
    overhead: float


def toy(approach: str, settings: Mapping[str, Any] | None = None) -> Toy:
    """Carry the toy workload out on an approach, anew.

    Parameters
    ----------
    settings : of the approach's own, beside those in its row.
    """
    row = approaches()[approach]
    if row.environment is not None:
        setup.add(environment.standard(row.environment), setup.Progress(quiet=False))
    spec = RunSpec(
        experiment="toy",
        approach=approach,
        scale="smoke",
        protocol=protocols()["equal"],
        workers=2,
        seed=1,
        epochs=2,
        policy="random",
        dataset=DatasetSpec("blobs", train_rows=2000, valid_rows=400),
        configs=CONFIGS,
        settings={**row.settings, **(settings or {})},
    )
    run = planned(spec, fresh=True)
    start = time.monotonic()
    execute(run, lambda _: None)
    whole = time.monotonic() - start
    loaded = runs.load(run.folder.root)
    shutil.rmtree(run.folder.root)
    spans = tidy.spans(loaded)
    busy = float(spans.loc[spans["phase"].isin(["train", "valid"]), "seconds"].sum())
    units = sum(event.kind == "unit_finished" for event in loaded.events)
    epochs = durations.execution(loaded)
    return Toy(whole, epochs, busy / units, (spec.workers * epochs - busy) / units)


def training(system: str, rows: int) -> float:
    """Seconds of training per unit in a run's second epoch; the run is taken away again."""
    spec = run_spec("breakdown", system, "smoke")
    data = replace(spec.dataset, train_rows=rows, valid_rows=400)
    run = planned(replace(spec, experiment="benchmark", epochs=EPOCH, dataset=data), fresh=True)
    execute(run, lambda _: None)
    seconds = unit_seconds(list(read(run.folder.journal)), "train")
    shutil.rmtree(run.folder.root)
    return statistics.fmean(seconds)


def compare_training(repeat: int, rows: int) -> None:
    """Print a Markdown table of training time per unit."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(repeat):
        for system in (STANDALONE, NATIVE):
            found[system].append(training(system, rows))
    base = statistics.median(found[STANDALONE])
    print(f"| system | train per unit, s | over {STANDALONE} |\n|---|---|---|")
    for system, each in found.items():
        print(
            f"| {system} | {statistics.median(each):.3f} | {statistics.median(each) / base:.2f} |"
        )


def compare_toys(repeat: int) -> None:
    """Print a Markdown table of the toy workload."""
    makers: dict[str, Callable[[], Toy]] = {
        each: partial(toy, each) for each in (NATIVE, STANDALONE)
    }
    for period in POLLING_SECONDS:
        settings = {"polling_seconds": period}
        makers[f"{PACKAGE}, polling {period:g} s"] = partial(toy, PACKAGE, settings)
    found: defaultdict[str, list[Toy]] = defaultdict(list)
    for _ in range(repeat):
        for name, make in makers.items():
            found[name].append(make())

    def median(name: str, part: str) -> float:
        return float(statistics.median(getattr(each, part) for each in found[name]))

    print(
        "| toy workload | training per unit, s | overhead per unit, s | over native | epochs, s "
        "| whole run, s | over native |\n|---|---|---|---|---|---|---|"
    )
    for name in found:
        training, overhead, epochs, whole = (
            median(name, part) for part in ("training", "overhead", "epochs", "whole")
        )
        more = overhead / median(NATIVE, "overhead")
        longer = whole / median(NATIVE, "whole")
        print(
            f"| {name} | {training:.3f} | {overhead:.3f} | {more:.1f} | {epochs:.1f} "
            f"| {whole:.1f} | {longer:.1f} |"
        )


def main() -> None:
    """Run both and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4000, help="of training, in the first table")
    options = parser.parse_args()
    compare_training(options.repeat, options.rows)
    print()
    compare_toys(options.repeat)


if __name__ == "__main__":
    main()
