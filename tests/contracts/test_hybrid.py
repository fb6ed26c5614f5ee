"""Model hopping for some epochs, then model averaging: MA told ``hop_epochs``."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from experiments.approaches.base import RunContext, job
from experiments.approaches.ma import Approach
from experiments.datasets import one_hot
from experiments.errors import SpecError
from experiments.models import codec
from experiments.models.averaging import Average
from experiments.models.session import Session
from experiments.mop import invariants
from experiments.mop.visits import visits
from experiments.specs.model import ModelConfig, RunSpec, derive_seed
from experiments.telemetry.journal import read
from tests.contracts.conftest import Finished, contract_spec
from tests.faults.harness import DRIVER, FaultyRun, Kill

CONFIGS = (ModelConfig("linear", 1e-2, 1e-4, 16), ModelConfig("linear", 1e-3, 0.0, 32))
HOPS = 2


def hybrid_spec() -> RunSpec:
    spec = replace(contract_spec("ma", "round_robin"), configs=CONFIGS, epochs=4)
    return replace(spec, settings={"hop_epochs": HOPS})


@functools.cache
def run() -> Finished:
    """Its driver is killed in either half: 16 units hop, half of them evaluations."""
    faulty = FaultyRun.of(hybrid_spec())
    faulty.complete([Kill(DRIVER, "unit_finished", count) for count in (6, 18)])
    faulty.check()
    return Finished(faulty.run, tuple(read(faulty.run.folder.journal)))


class Replay:
    """The same units in this process."""

    def __init__(self, done: Finished) -> None:
        self.spec, self.dataset = done.run.spec, done.dataset
        self.order = visits(done.events)
        self.session = Session(2**26)

    def unit(self, model: int, epoch: int, partition: int, state: bytes) -> tuple[bytes, int]:
        work: Mapping[str, Any] = job(CONFIGS[model], self.dataset)["model"]
        part = self.dataset.partition("train", partition)
        self.session.load(work, state)
        seed = derive_seed(self.spec.seed, "unit", model, epoch, partition)
        self.session.train_start(work, seed)
        self.session.train_rows(np.array(part.x), one_hot(np.array(part.y), self.dataset.classes))
        rows = self.session.train_finish().rows
        return self.session.dump(), rows

    def model(self, model: int) -> bytes:
        work = job(CONFIGS[model], self.dataset)["model"]
        state = self.session.initial_state(work, derive_seed(self.spec.seed, "initial", "linear"))
        for visit in self.order:
            if visit.model == model and visit.epoch <= HOPS:
                state, _ = self.unit(model, visit.epoch, visit.partition, state)
        for epoch in range(HOPS + 1, self.spec.epochs + 1):
            mean = Average()
            for partition in range(self.spec.workers):
                mean.add(*self.unit(model, epoch, partition, state))
            state = mean.state()
        return state


def test_it_hops_and_then_averages() -> None:
    done = run()
    replay = Replay(done)
    for model in range(len(CONFIGS)):
        found, expected = codec.decode(done.state(model)), codec.decode(replay.model(model))
        np.testing.assert_allclose(found.weights, expected.weights, atol=1e-6, rtol=1e-6)
        np.testing.assert_allclose(found.optimizer, expected.optimizer, atol=1e-6, rtol=1e-6)
        assert found.step == expected.step
    hopping = [event for event in done.events if event.epoch is None or event.epoch <= HOPS]
    invariants.check(hopping, len(CONFIGS), done.run.spec.workers, range(1, HOPS + 1))
    merged = [(event.model, event.epoch) for event in done.events if event.kind == "merged"]
    assert sorted(merged) == [(model, epoch) for model in (0, 1) for epoch in (3, 4)]


def test_every_epoch_is_evaluated_once() -> None:
    done = run()
    marks = [(e.epoch, e.model) for e in done.events if e.kind == "evaluated"]
    assert sorted(marks) == [(epoch, model) for epoch in (1, 2, 3, 4) for model in (0, 1)]


@pytest.mark.parametrize("hops", [-1, 5])
def test_more_hops_than_epochs_are_refused(hops: int) -> None:
    """Before anything is called."""
    spec = replace(hybrid_spec(), settings={"hop_epochs": hops})
    approach = Approach.__new__(Approach)
    approach.context = cast(RunContext, SimpleNamespace(spec=spec, search=None))
    with pytest.raises(SpecError, match=f"hop_epochs = {hops}: 0 to 4"):
        approach.train()
