"""Runs of every approach, through the same door as the user's: real servers, a real driver."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from experiments.runner.execute import execute
from experiments.runner.plan import PlannedRun, RunState, planned
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec
from experiments.telemetry.journal import Event, read

CONFIGS = (
    ModelConfig("probe", 1e-2, 1e-4, 16),
    ModelConfig("probe", 1e-3, 1e-3, 16),
    ModelConfig("probe", 1e-3, 0.0, 32),
)


@dataclass(frozen=True)
class Finished:
    """A finished run with its journal."""

    run: PlannedRun
    events: tuple[Event, ...]


def contract_spec(approach: str, policy: str = "random") -> RunSpec:
    """Small, but with everything that can go wrong: dropout, batch normalisation, odd batches."""
    return RunSpec(
        experiment="contract",
        approach=approach,
        scale="smoke",
        protocol="equal",
        workers=2,
        seed=3,
        epochs=2,
        policy=policy,
        dataset=DatasetSpec("blobs", train_rows=203, valid_rows=61),
        configs=CONFIGS,
    )


@pytest.fixture(scope="session")
def finished() -> Callable[..., Finished]:
    """``finished(approach, policy)``: carries the run out once per session."""

    @functools.cache
    def run(approach: str, policy: str = "random") -> Finished:
        wanted = planned(contract_spec(approach, policy))
        if wanted.state is not RunState.DONE:
            execute(wanted, lambda _: None)
        return Finished(wanted, tuple(read(wanted.folder.journal)))

    return run
