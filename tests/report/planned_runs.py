"""Made-up runs of experiments that claims need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from experiments.analysis.runs import Run, load
from experiments.specs.load import protocols
from experiments.specs.model import DatasetSpec
from tests.analysis import end_to_end_runs
from tests.analysis.synthetic_runs import STANDALONE_S, retime, spec, typical, write_run

FAST, SLOW = ("da-cerebro", "cerebro-spark-native"), ("pytorch-ddp", "da-pytorch-ddp")
IN_DBMS = ("ma", "ctq", "udaf")


def paced(
    root: Path,
    experiment: str,
    seconds: Mapping[str, float],
    *,
    seeds: Iterable[int] = (1,),
    **changes: Any,
) -> list[Run]:
    """Runs of two epochs whose events come as many seconds apart as their approach's."""
    found = []
    for approach, pace in seconds.items():
        for seed in seeds:
            run = spec(
                experiment=experiment,
                approach=approach,
                seed=seed,
                epochs=2,
                dataset=DatasetSpec("fashion-mnist", 2400, 800),
                **{
                    **changes,
                    **(
                        {"protocol": protocols(approach)[changes["protocol"]]}
                        if "protocol" in changes
                        else {}
                    ),
                },
            )
            name = f"{experiment}-{approach}-{seed}-{run.protocol}-w{run.workers}"
            folder = write_run(root / name, run, typical(run, STANDALONE_S), measures=MEASURES)
            found.append(retime(load(folder), pace * (1 + seed / 100)))
    return found


MEASURES = end_to_end_runs.learning(0.6, auc=False)


def as_in_the_paper(root: Path, **changes: Any) -> list[Run]:
    """Both end-to-end experiments with the paper's order and ratios."""
    image = {"da-cerebro": 23.0, "cerebro-spark-native": 23.9, "ma": 42.6, "ctq": 45.1}
    image |= {"udaf": 48.5, "pytorch-ddp": 77.3, "da-pytorch-ddp": 77.5}
    click = {"da-cerebro": 21.5, "cerebro-spark-native": 22.5, "ma": 38.5, "ctq": 40.0}
    click |= {"udaf": 62.0}
    return [
        *paced(root, "e2e-imagenet", image, **changes),
        *paced(root, "e2e-criteo", click, **changes),
    ]
