"""Emulated runs of real approaches: the same engine, servers and processes, and a clock."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.approaches.base import Trait, find, job
from experiments.datasets import PreparedDataset, one_hot, prepare
from experiments.models import codec
from experiments.models.averaging import Average
from experiments.models.session import Session
from experiments.mop import invariants
from experiments.mop.visits import visits
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs import devices
from experiments.specs.model import ModelConfig, RunSpec, derive_seed
from experiments.telemetry.journal import Event, read
from tests.contracts.conftest import Finished, contract_spec

CONFIGS = (ModelConfig("resnet50", 1e-2, 1e-4, 16), ModelConfig("mobilenetv2", 1e-3, 0.0, 32))

APPROACHES = ("cerebro-standalone", "udaf", "ma", "pytorch-ddp")
"""One of each trait, on files and in the database; the others share all of their code."""


def emulated_spec(approach: str) -> RunSpec:
    """The contract's run on a P100 20 times as fast, with states of a thousandth of their size."""
    batches = {config.architecture: config.batch_size for config in CONFIGS}
    emulation = devices.emulation(
        "p100", batches, dataset="blobs", speedup=20.0, state_fraction=0.001
    )
    return replace(contract_spec(approach), configs=CONFIGS, emulation=emulation)


@functools.cache
def emulated(approach: str) -> Finished:
    run = planned(emulated_spec(approach))
    execute(run, lambda _: None)
    return Finished(run, tuple(read(run.folder.journal)))


def trained(done: Finished) -> list[Event]:
    """Marks of finished units of training."""
    marks = [event for event in done.events if event.kind == "unit_finished"]
    return [event for event in marks if event.detail["kind"] == "train"]


class Replay:
    """Trains a run's units in this process, as fast as it can."""

    def __init__(self, spec: RunSpec) -> None:
        assert spec.emulation is not None
        self._spec = spec
        self._models = {
            name: vars(replace(model, speedup=1e9)) for name, model in spec.emulation.models.items()
        }
        self._dataset: PreparedDataset = prepare(spec.dataset, spec.workers, spec.seed)
        self._session = Session(0)

    def work(self, model: int) -> dict[str, Any]:
        config = self._spec.configs[model]
        made: dict[str, Any] = job(config, self._dataset)["model"]
        return {**made, "emulation": self._models[config.architecture]}

    def start(self, model: int) -> bytes:
        seed = derive_seed(self._spec.seed, "initial", self._spec.configs[model].architecture)
        return self._session.initial_state(self.work(model), seed)

    def unit(self, model: int, state: bytes, epoch: int, partition: int) -> tuple[bytes, int]:
        """The state after a unit, and its rows."""
        part = self._dataset.partition("train", partition)
        self._session.load(self.work(model), state)
        seed = derive_seed(self._spec.seed, "unit", model, epoch, partition)
        self._session.train_start(self.work(model), seed)
        y = one_hot(np.array(part.y), self._dataset.classes)
        self._session.train_rows(np.array(part.x), y)
        self._session.train_finish()
        return self._session.dump(), len(y)


@pytest.mark.parametrize("approach", APPROACHES)
def test_result_and_journal_say_that_it_is_emulated(approach: str) -> None:
    done = emulated(approach)
    result: Mapping[str, Any] = json.loads(done.run.folder.result.read_text())
    assert result["evidence"] == "emulated"
    assert done.events[0].kind == "run_started"
    assert done.events[0].detail["evidence"] == "emulated"
    pace = result["pace"]
    assert (pace["device"], pace["speedup"]) == ("p100", 20.0)
    counters = [event.detail["counters"] for event in trained(done)]
    assert pace["units"] == len(counters)
    assert pace["modelled_seconds"] == pytest.approx(sum(c["modelled_seconds"] for c in counters))
    assert 0 < pace["waited_seconds"] <= pace["modelled_seconds"] / 20 + 0.1 * len(counters)


@pytest.mark.parametrize("approach", [n for n in APPROACHES if n != "pytorch-ddp"])
def test_units_take_the_modelled_seconds_of_the_device_table(approach: str) -> None:
    done = emulated(approach)
    spec = done.run.spec
    assert spec.emulation is not None
    for event in trained(done):
        config = spec.configs[event.model or 0]
        model = spec.emulation.models[config.architecture]
        rows = done.dataset.rows("train", event.partition or 0)
        expected = model.unit_seconds("train", rows, config.batch_size)
        assert event.detail["counters"]["modelled_seconds"] == pytest.approx(expected)
        assert event.detail["seconds"] >= expected / spec.emulation.speedup


HOPPING = [name for name in APPROACHES if Trait.HOPS in find(name).traits]


@pytest.mark.parametrize("approach", HOPPING)
def test_hopping_equals_a_replay_of_the_order(approach: str) -> None:
    done = emulated(approach)
    spec, replay = done.run.spec, Replay(done.run.spec)
    invariants.check(done.events, len(spec.configs), spec.workers, range(1, spec.epochs + 1))
    order = defaultdict(list)
    for visit in visits(done.events):
        order[visit.model].append(visit)
    for model in range(len(spec.configs)):
        state = replay.start(model)
        for visit in order[model]:
            state, _ = replay.unit(model, state, visit.epoch, visit.partition)
        assert state == done.state(model)
        backwards = replay.start(model)
        for visit in reversed(order[model]):
            backwards, _ = replay.unit(model, backwards, visit.epoch, visit.partition)
        assert backwards != state


def test_averaging_equals_a_replay() -> None:
    done = emulated("ma")
    spec, replay = done.run.spec, Replay(done.run.spec)
    for model in range(len(spec.configs)):
        state = replay.start(model)
        for epoch in range(1, spec.epochs + 1):
            mean = Average()
            for partition in range(spec.workers):
                mean.add(*replay.unit(model, state, epoch, partition))
            state = mean.state()
        found, expected = codec.decode(done.state(model)), codec.decode(state)
        np.testing.assert_allclose(found.weights, expected.weights, atol=1e-6)
        np.testing.assert_allclose(found.optimizer, expected.optimizer, atol=1e-6)


def test_ranks_wait_for_the_ring_and_end_equal() -> None:
    done = emulated("pytorch-ddp")
    spec = done.run.spec
    assert spec.emulation is not None
    digests = defaultdict(set)
    for event in trained(done):
        counters = event.detail["counters"]
        config = spec.configs[event.model or 0]
        model = spec.emulation.models[config.architecture]
        steps = model.together_seconds(config.batch_size // spec.workers, spec.workers)
        transfers = 2 if event.worker == 0 else 1  # rank 0 saves the state
        expected = counters["steps"] * steps + transfers * model.transfer_seconds
        assert counters["modelled_seconds"] == pytest.approx(expected)
        assert counters["reduced_bytes"] == counters["steps"] * model.gradient_bytes
        digests[event.model, event.epoch].add(counters["weights_digest"])
    assert all(len(found) == 1 for found in digests.values())
    assert len(digests) == len(set.union(*digests.values())) == 4
