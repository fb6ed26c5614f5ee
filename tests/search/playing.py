"""Searches without training: a made-up loss, and slots that finish in a seeded order."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from experiments.search.searcher import Assignment, Result, Searcher
from experiments.specs.model import ModelConfig
from experiments.specs.search import Axis, SearchSpec

SPACE = (
    Axis("architecture", "choice", ("linear", "probe")),
    Axis("learning_rate", "loguniform", (1e-5, 1e-1)),
    Axis("regularization", "choice", (1e-4, 1e-6)),
    Axis("batch_size", "integers", (16, 256)),
)


def search_spec(algorithm: str, **changes: Any) -> SearchSpec:
    settings: dict[str, Any] = {
        "trials": 12,
        "concurrency": 3,
        "batches": False,
        "startup": 4,
        "reduction": 3,
        "least_epochs": 1,
        "space": SPACE,
    }
    return SearchSpec(algorithm=algorithm, **{**settings, **changes})


def bowl(config: ModelConfig, epoch: int) -> float:
    """Lowest at a learning rate of 1e-3, and falling with every epoch."""
    return (math.log10(config.learning_rate) + 3) ** 2 + 1 / epoch


Loss = Callable[[ModelConfig, int], float]


def play(searcher: Searcher, loss: Loss = bowl, seed: int | None = None) -> list[Assignment]:
    """Search to the end; what was asked. Without a seed the first that was asked ends first."""
    order = random.Random(seed)
    while True:
        searcher.ask(searcher.spec.concurrency - len(searcher.under_way))
        if not searcher.under_way:
            return searcher.asked
        models = list(searcher.under_way)
        ends = searcher.under_way[models[0] if seed is None else order.choice(models)]
        searcher.tell(Result(ends.model, ends.stop, loss(ends.config, ends.stop)))
