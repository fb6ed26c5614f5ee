"""The same runs as processes of this machine and in containers: what containers cost.

``breakdown`` at smoke scale, two epochs, of which the second counts for training; processes and
containers alternate over ``--repeat`` rounds, and ratios are of medians. *Whole* is from the
command to its end: servers, networks and containers made and removed included.

    python3 reproduce.py --benchmark containers
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import replace

from training import EPOCH, unit_seconds

from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.runtime import choice, engine, images
from experiments.specs.load import run_spec
from experiments.telemetry.journal import read

APPROACHES = ("cerebro-standalone", "ctq", "da-cerebro", "cerebro-spark-native")


def carried_out(approach: str, runtime: str) -> tuple[float, float]:
    """Seconds of a whole run, and of training per unit in its last epoch; the run is removed."""
    spec = replace(run_spec("breakdown", approach, "smoke"), experiment="benchmark", epochs=EPOCH)
    run = planned(spec, fresh=True, runtime=runtime)
    start = time.monotonic()
    execute(run, lambda _: None)
    whole = time.monotonic() - start
    seconds = unit_seconds(list(read(run.folder.journal)), "train")
    shutil.rmtree(run.folder.root)
    return whole, statistics.fmean(seconds)


def main() -> None:
    """Print a Markdown table of ratios."""
    parser = argparse.ArgumentParser(prog="--benchmark containers", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    options = parser.parse_args()
    with closing(engine.connect()) as client:
        images.ensure(client, images.IMAGES, print)
    print("| approach | whole run, s | over processes | train per unit over processes |")
    print("|---|---|---|---|")
    for approach in APPROACHES:
        found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for _ in range(options.repeat):
            for runtime in (choice.LOCAL, choice.DOCKER):
                found[runtime].append(carried_out(approach, runtime))
        (local, own), (docker, contained) = (
            tuple(statistics.median(each) for each in zip(*found[runtime], strict=True))
            for runtime in (choice.LOCAL, choice.DOCKER)
        )
        print(f"| {approach} | {docker:.1f} | {docker / local:.2f} | {contained / own:.2f} |")


if __name__ == "__main__":
    main()
