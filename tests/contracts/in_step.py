"""Data-parallel training replayed in one process: SGD on one global batch after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from experiments.approaches.base import job
from experiments.datasets import PreparedDataset, one_hot, prepare
from experiments.models.session import Session
from experiments.specs.model import ModelConfig, RunSpec, derive_seed


def shares(batch: int, ranks: int) -> list[int]:
    """Rows of a batch that each rank has."""
    return [len(part) for part in np.array_split(np.arange(batch), ranks)]


def steps(dataset: PreparedDataset, batch: int) -> int:
    """Steps until every rank has seen all rows of its partition."""
    every = enumerate(shares(batch, dataset.partitions))
    return max(int(np.ceil(dataset.rows("train", rank) / own)) for rank, own in every)


def batches(dataset: PreparedDataset, batch: int) -> Iterator[list[tuple[int, int]]]:
    """Of each step its rows, as rank and position in the rank's partition."""
    for step in range(steps(dataset, batch)):
        yield [
            (rank, position % dataset.rows("train", rank))
            for rank, own in enumerate(shares(batch, dataset.partitions))
            for position in range(step * own, (step + 1) * own)
        ]


def global_batch(spec: RunSpec, config: ModelConfig) -> int:
    """Rows of one step of a configuration."""
    return {"global": 1, "per-rank": spec.workers}[spec.protocol.ddp_batch] * config.batch_size


def replayed(spec: RunSpec) -> list[bytes]:
    """Every model's state after training; models must be free of dropout and batch statistics."""
    dataset = prepare(spec.dataset, spec.workers, spec.seed)
    parts = [dataset.partition("train", rank) for rank in range(spec.workers)]
    session, states = Session(0), []
    for config in spec.configs:
        batch = global_batch(spec, config)
        work = {**job(config, dataset)["model"], "batch_size": batch}
        seed = derive_seed(spec.seed, "initial", config.architecture)
        session.load(work, session.initial_state(work, seed))
        for _ in range(spec.epochs):
            session.train_start(work, seed)
            for rows in batches(dataset, batch):
                x = np.stack([parts[rank].x[position] for rank, position in rows])
                y = np.stack([parts[rank].y[position] for rank, position in rows])
                session.train_rows(x, one_hot(y, dataset.classes))
            session.train_finish()
        states.append(session.dump())
    return states
