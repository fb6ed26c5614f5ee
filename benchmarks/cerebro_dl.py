"""What a unit costs beside training: a toy workload on the published package, and on others.

Three small networks, two epochs, two partitions of 1,000 rows: units of a tenth of a second, so
that what is done for a unit weighs more than the unit. The package runs once with its polling
period as shipped and once with 0.05 s; every run is a whole one, from an empty cluster on.

    python3 reproduce.py --benchmark cerebro_dl [--approach ID ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.analysis import durations, runs, tidy
from experiments.cli import environment, setup
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.load import approaches, protocols
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec

PACKAGE = "cerebro-spark"
POLLING_SECONDS = (2.0, 0.05)
"""As shipped, and as fast as makes a difference."""
CONFIGS = tuple(ModelConfig("mlp-tiny", rate, 1e-4, 32) for rate in (1e-2, 1e-3, 1e-4))


@dataclass(frozen=True)
class Toy:
    """What a run of the toy workload took, in seconds.

    Attributes
    ----------
    total : ETL, starting, training and evaluation.
    execution : the epochs alone.
    training : a unit's own training or evaluation, mean over all units.
    beside : what else a worker's time went into, per unit: loading and saving the model, starting
        the unit, noticing its end, and waiting.
    """

    total: float
    execution: float
    training: float
    beside: float


def toy(approach: str, seed: int = 1, settings: Mapping[str, Any] | None = None) -> Toy:
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
        seed=seed,
        epochs=2,
        policy="random",
        dataset=DatasetSpec("blobs", train_rows=2000, valid_rows=400),
        configs=CONFIGS,
        settings={**row.settings, **(settings or {})},
    )
    run = planned(spec, fresh=True)
    execute(run, lambda _: None)
    return _measured(runs.load(run.folder.root))


def _measured(run: runs.Run) -> Toy:
    spans = tidy.spans(run)
    busy = float(spans.loc[spans["phase"].isin(["train", "valid"]), "seconds"].sum())
    units = sum(event.kind == "unit_finished" for event in run.events)
    epochs = durations.execution(run)
    return Toy(
        total=run.seconds["etl"] + run.seconds["train"],
        execution=epochs,
        training=busy / units,
        beside=(run.spec.workers * epochs - busy) / units,
    )


def main() -> None:
    """Run and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--approach", nargs="*", default=["cerebro-standalone"])
    options = parser.parse_args()
    measured = {
        f"{approaches()[PACKAGE].title}, polling {period:g} s": toy(
            PACKAGE, settings={"polling_seconds": period}
        )
        for period in POLLING_SECONDS
    }
    measured |= {approaches()[each].title: toy(each) for each in options.approach}
    print("| toy workload | total s | epochs s | training s per unit | beside s per unit |")
    print("|---|---|---|---|---|")
    for name, one in measured.items():
        seconds = (one.total, one.execution, one.training, one.beside)
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in seconds) + " |")


if __name__ == "__main__":
    main()
