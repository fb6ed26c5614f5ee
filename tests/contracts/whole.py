"""Task-parallel training replayed in one process: SGD over all partitions, one after the other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from experiments.approaches.base import job
from experiments.datasets import one_hot, prepare
from experiments.models.session import Session
from experiments.specs.model import ModelConfig, RunSpec, derive_seed


def replayed(
    spec: RunSpec, trained: Iterable[tuple[ModelConfig, int]] | None = None
) -> list[bytes]:
    """Every model's state after training.

    Parameters
    ----------
    trained : each model's config and epochs, where they are not the specification's.
    """
    dataset = prepare(spec.dataset, spec.workers, spec.seed)
    parts = [dataset.partition("train", key) for key in range(spec.workers)]
    session, states = Session(0), []
    every = [(config, spec.epochs) for config in spec.configs] if trained is None else trained
    for model, (config, epochs) in enumerate(every):
        work = job(config, dataset)["model"]
        seed = derive_seed(spec.seed, "initial", config.architecture)
        session.load(work, session.initial_state(work, seed))
        for epoch in range(1, epochs + 1):
            session.train_start(work, derive_seed(spec.seed, "unit", model, epoch))
            for part in parts:
                session.train_rows(np.array(part.x), one_hot(np.array(part.y), dataset.classes))
            session.train_finish()
        states.append(session.dump())
    return states
