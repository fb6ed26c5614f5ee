"""Made-up runs of the end-to-end experiments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from experiments.specs.load import approaches_of
from experiments.specs.model import DatasetSpec
from tests.analysis.synthetic_runs import STANDALONE_S, Measures, spec, typical, write_run

DATASETS: Mapping[str, tuple[str, int]] = {
    "e2e-imagenet": ("fashion-mnist", 10),
    "e2e-criteo": ("criteo-generated", 2),
    "e2e-flights": ("flights", 3),
}


def learning(rate: float, *, auc: bool) -> Measures:
    """The second configuration is the better one."""

    def measures(model: int, epoch: int) -> dict[str, Any]:
        error = 0.3 - 0.1 * model + 0.6 * math.exp(-rate * epoch)
        more = {"auc": 1 - error / 2} if auc else {}
        return {"loss": error, "top1_error": error, "top5_error": error / 4, **more}

    return measures


def experiment(
    root: Path,
    name: str,
    *,
    epochs: int,
    seeds: Iterable[int] = (1,),
    of: Iterable[str] | None = None,
    changed: Mapping[str, Measures] = {},
    scale: str = "smoke",
) -> list[Path]:
    """Runs of an experiment, in which MA learns slower unless ``changed`` says otherwise.

    ``of`` names the approaches; without it those that take part.
    """
    dataset, classes = DATASETS[name]
    folders = []
    for approach in [row.id for row in approaches_of(name, scale)] if of is None else of:
        for seed in seeds:
            run = spec(
                experiment=name,
                approach=approach,
                seed=seed,
                epochs=epochs,
                scale=scale,
                dataset=DatasetSpec(dataset, 2400, 800),
            )
            rate = (0.2 if approach == "ma" else 0.6) + seed / 100
            measures = changed.get(approach) or learning(rate, auc=classes == 2)
            folders.append(
                write_run(
                    root / f"{name}-{approach}-{seed}",
                    run,
                    typical(run, STANDALONE_S),
                    classes=classes,
                    measures=measures,
                )
            )
    return folders
