"""Runs of every approach, through the same door as the user's: real servers, a real driver."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.approaches.base import job
from experiments.datasets import PreparedDataset, one_hot, prepare
from experiments.models.measures import Counts
from experiments.models.session import Session
from experiments.runner.execute import execute
from experiments.runner.plan import PlannedRun, RunState, planned
from experiments.specs.load import protocols
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec
from experiments.telemetry.journal import Event, read
from tests.families import OWN

CONFIGS = (
    ModelConfig("probe", 1e-2, 1e-4, 16),
    ModelConfig("probe", 1e-3, 1e-3, 16),
    ModelConfig("probe", 1e-3, 0.0, 32),
)


PACKAGE_CONFIGS = (
    ModelConfig("mlp-tiny", 1e-2, 1e-4, 16),
    ModelConfig("mlp-tiny", 1e-3, 1e-3, 32),
    ModelConfig("linear", 1e38, 0.0, 16),
)
"""Two that a package must train as we do, without what Keras 2 draws or averages otherwise
(dropout, batch normalization), and one that diverges."""


@dataclass(frozen=True)
class Finished:
    """A finished run with its journal."""

    run: PlannedRun
    events: tuple[Event, ...]

    @property
    def dataset(self) -> PreparedDataset:
        spec = self.run.spec
        return prepare(spec.dataset, spec.workers, spec.seed)

    def state(self, model: int) -> bytes:
        """A model's final state."""
        return (self.run.folder.models / f"{model}.state").read_bytes()

    def marks(self) -> dict[tuple[int | None, int | None], Mapping[str, Any]]:
        """What the journal says of every evaluation, by epoch and model."""
        return {(e.epoch, e.model): e.detail for e in self.events if e.kind == "evaluated"}

    def evaluated_at_once(self, model: int) -> Counts:
        """The final model on all rows of the validation set, in this process."""
        dataset, session = self.dataset, Session(0)
        work = job(self.run.spec.configs[model], dataset)["model"]
        session.load(work, self.state(model))
        session.evaluate_start(work)
        for key in range(dataset.partitions):
            part = dataset.partition("valid", key)
            session.evaluate_rows(np.array(part.x), one_hot(np.array(part.y), dataset.classes))
        return session.evaluate_finish()


def contract_spec(approach: str, policy: str = "random") -> RunSpec:
    """Small, but with everything that can go wrong: dropout, batch normalisation, odd batches.

    One run of a package's takes as long as all of ours, so its one has two classes and a model that
    diverges as well.
    """
    if approach not in OWN:
        return RunSpec(
            experiment="contract",
            approach=approach,
            scale="smoke",
            protocol=protocols()["equal"],
            workers=2,
            seed=3,
            epochs=2,
            policy=policy,
            dataset=DatasetSpec("criteo-generated", train_rows=203, valid_rows=61),
            configs=PACKAGE_CONFIGS,
            settings={"polling_seconds": 0.05},
        )
    return RunSpec(
        experiment="contract",
        approach=approach,
        scale="smoke",
        protocol=protocols()["equal"],
        workers=2,
        seed=3,
        epochs=2,
        policy=policy,
        dataset=DatasetSpec("blobs", train_rows=203, valid_rows=61),
        configs=CONFIGS,
    )


@pytest.fixture(scope="session")
def finished(package_python: Path) -> Callable[..., Finished]:
    """``finished(approach, policy)``: carries the run out once per session."""

    @functools.cache
    def run(approach: str, policy: str = "random") -> Finished:
        wanted = planned(contract_spec(approach, policy))
        if wanted.state is not RunState.DONE:
            execute(wanted, lambda _: None)
        return Finished(wanted, tuple(read(wanted.folder.journal)))

    return run
