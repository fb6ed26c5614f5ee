"""Every switch of a protocol at once: what it does to weights, evaluations and the journal."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from experiments.approaches.base import Trait, epoch_units, find, job
from experiments.datasets import SPLITS, PreparedDataset, one_hot
from experiments.datasets.source import Split
from experiments.models import codec
from experiments.models.measures import Counts
from experiments.models.session import Session
from experiments.mop.visits import visits
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.load import protocols
from experiments.specs.model import ModelConfig, derive_seed
from experiments.telemetry.journal import Event, read
from tests.contracts.conftest import Finished, contract_spec

APPROACHES = ("ctq", "udaf", "ma", "pytorch-ddp")
"""Where evaluations are done by different code; what else hops on files shares Standalone's."""

HOPPING = [name for name in APPROACHES if Trait.HOPS in find(name).traits]
EVERYTHING = replace(
    protocols()["equal"],
    name="everything",
    training_set_pass=True,
    mid_epoch_validation=True,
    storage="pglz",
    rebuild_on_hop=True,
    reset_optimizer=True,
    caches=False,
)
CONFIGS = (ModelConfig("linear", 1e-2, 1e-4, 16), ModelConfig("linear", 1e-3, 0.0, 32))


@functools.cache
def run(approach: str) -> Finished:
    wanted = planned(replace(contract_spec(approach), protocol=EVERYTHING, configs=CONFIGS))
    execute(wanted, lambda _: None)
    return Finished(wanted, tuple(read(wanted.folder.journal)))


class Replay:
    """Trains a run's models in this process, each unit with a fresh optimizer or not."""

    def __init__(self, done: Finished) -> None:
        self.spec, self.dataset = done.run.spec, done.dataset
        self.session = Session(2**26)

    def visited(
        self, model: int, partitions: Sequence[tuple[int, int]], *, keeps: bool = False
    ) -> Iterator[bytes]:
        """The state after each (epoch, partition)."""
        work = job(CONFIGS[model], self.dataset)["model"]
        state = self.session.initial_state(work, derive_seed(self.spec.seed, "initial", "linear"))
        for epoch, partition in partitions:
            self.session.load(work, state)
            seed = derive_seed(self.spec.seed, "unit", model, epoch, partition)
            self.session.train_start(work, seed)
            self.session.train_rows(*rows(self.dataset, "train", partition))
            self.session.train_finish()
            state = self.session.dump(optimizer=keeps)
            yield state

    def evaluated(
        self, model: int, state: bytes, split: Split, partitions: Sequence[int]
    ) -> Counts:
        work = job(CONFIGS[model], self.dataset)["model"]
        self.session.load(work, state)
        self.session.evaluate_start(work)
        for partition in partitions:
            self.session.evaluate_rows(*rows(self.dataset, split, partition))
        return self.session.evaluate_finish()


def rows(dataset: PreparedDataset, split: Split, partition: int) -> tuple[np.ndarray, np.ndarray]:
    part = dataset.partition(split, partition)
    return np.array(part.x), one_hot(np.array(part.y), dataset.classes)


def marks(done: Finished) -> dict[tuple[int | None, int | None, str], Event]:
    found = [event for event in done.events if event.kind == "evaluated"]
    assert len({(e.model, e.epoch, e.detail["split"]) for e in found}) == len(found)
    return {(event.model, event.epoch, event.detail["split"]): event for event in found}


@pytest.mark.parametrize("approach", APPROACHES)
def test_every_model_is_evaluated_on_both_splits_in_every_epoch(approach: str) -> None:
    done = run(approach)
    data = done.run.spec.dataset
    expected = {"train": data.train_rows, "valid": data.valid_rows}
    found = {key: event.detail["rows"] for key, event in marks(done).items()}
    assert found == {(m, e, s): expected[s] for m in (0, 1) for e in (1, 2) for s in expected}
    phases = {event.phase for event in done.events if event.kind == "span"}
    assert {"training_pass", "valid", "rebuild"} <= phases
    units = sum(event.kind == "unit_finished" for event in done.events)
    assert units == epoch_units(done.run.spec) * len(CONFIGS) * done.run.spec.epochs


@pytest.mark.parametrize("approach", [name for name in APPROACHES if name not in HOPPING])
def test_what_does_not_hop_is_evaluated_as_it_is_after_the_epoch(approach: str) -> None:
    done = run(approach)
    replay = Replay(done)
    for model in range(len(CONFIGS)):
        for split in SPLITS:
            whole = replay.evaluated(model, done.state(model), split, (0, 1))
            mark = marks(done)[model, done.run.spec.epochs, split].detail
            assert mark["loss"] == pytest.approx(whole.loss_sum / whole.rows, rel=1e-4)


@pytest.mark.parametrize("approach", HOPPING)
def test_what_hops_is_evaluated_where_it_is_before_it_hops_on(approach: str) -> None:
    """The states are those of a replay that forgets the optimizer at every hop."""
    done = run(approach)
    replay = Replay(done)
    order = defaultdict(list)
    for visit in visits(done.events):
        order[visit.model].append((visit.epoch, visit.partition))
    for model in range(len(CONFIGS)):
        losses: dict[tuple[int, str], Counts] = defaultdict(Counts)
        state = b""
        for (epoch, partition), state in zip(
            order[model], replay.visited(model, order[model]), strict=True
        ):
            for split in SPLITS:
                found = replay.evaluated(model, state, split, (partition,))
                losses[epoch, split].rows += found.rows
                losses[epoch, split].loss_sum += found.loss_sum
        weights = codec.decode(done.state(model)).weights
        expected = codec.decode(state).weights
        np.testing.assert_allclose(weights, expected, atol=1e-6, rtol=1e-6)
        *_, kept = replay.visited(model, order[model], keeps=True)
        assert not np.allclose(weights, codec.decode(kept).weights, atol=1e-4)
        for (epoch, each), counts in losses.items():
            loss = marks(done)[model, epoch, each].detail["loss"]
            assert loss == pytest.approx(counts.loss_sum / counts.rows, rel=1e-4)


@pytest.mark.parametrize("approach", APPROACHES)
def test_states_hop_without_the_optimizer(approach: str) -> None:
    done = run(approach)
    for model in range(len(CONFIGS)):
        state = codec.decode(done.state(model))
        assert (state.optimizer.size, state.step) == (0, 0)


@pytest.mark.parametrize("approach", APPROACHES)
def test_the_model_is_built_for_every_unit(approach: str) -> None:
    done = run(approach)
    builds = defaultdict(list)
    for event in done.events:
        if event.kind == "unit_finished":
            builds[event.worker].append(event.detail["counters"]["builds"])
    for counts in builds.values():
        assert counts == list(range(counts[0], counts[0] + len(counts)))
