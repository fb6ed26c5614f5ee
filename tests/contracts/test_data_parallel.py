"""The contract of every approach that is data-parallel: all workers train one model in step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from experiments.approaches.base import Trait, find
from experiments.models import codec
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.load import approaches
from experiments.specs.model import ModelConfig
from experiments.telemetry.journal import Event, read
from tests.contracts import in_step
from tests.contracts.conftest import Finished, contract_spec

IN_STEP = [name for name in approaches() if Trait.DATA_PARALLEL in find(name).traits]
Runs = Callable[..., Finished]

SMOOTH = (
    ModelConfig("mlp-tiny", 1e-3, 1e-3, 16),
    ModelConfig("mlp-tiny", 1e-2, 0.0, 32),
    ModelConfig("linear", 1e-2, 1e-4, 7),
)
"""Without dropout and batch normalization, which each rank has of its own."""

WORKERS = 3


@pytest.fixture(params=IN_STEP)
def approach(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@functools.cache
def smooth_run(name: str, batch: str = "global") -> Finished:
    """Three ranks, batches that three do not divide, rows that batches do not."""
    spec = replace(contract_spec(name), experiment="in-step", workers=WORKERS, configs=SMOOTH)
    if batch != spec.protocol.ddp_batch:
        protocol = replace(spec.protocol, name=batch, ddp_batch=batch)
        spec = replace(spec, protocol=protocol, configs=SMOOTH[-1:], epochs=1)
    run = planned(spec)
    execute(run, lambda _: None)
    return Finished(run, tuple(read(run.folder.journal)))


def trained(done: Finished) -> list[Event]:
    """Marks of finished units of training."""
    marks = [event for event in done.events if event.kind == "unit_finished"]
    return [event for event in marks if event.detail["kind"] == "train"]


def counters(done: Finished, name: str) -> dict[tuple[int | None, int | None], list[Any]]:
    """A counter's values of all ranks, by model and epoch."""
    found: dict[tuple[int | None, int | None], list[Any]] = {}
    for event in trained(done):
        found.setdefault((event.model, event.epoch), []).append(event.detail["counters"][name])
    return found


def turns(done: Finished) -> list[tuple[int, int]]:
    """Every model's every epoch, in order."""
    spec = done.run.spec
    return [(m, e) for m in range(len(spec.configs)) for e in range(1, spec.epochs + 1)]


def test_there_is_an_approach_that_is_data_parallel() -> None:
    assert IN_STEP


@pytest.mark.parametrize(
    ("approach", "batch"),
    [*((name, "global") for name in IN_STEP), (IN_STEP[0], "per-rank")],  # shared code
)
def test_it_equals_sequential_sgd_on_global_batches(approach: str, batch: str) -> None:
    """In one process, from the same weights, on each step's rows of all ranks together."""
    done = smooth_run(approach, batch)
    for model, expected in enumerate(map(codec.decode, in_step.replayed(done.run.spec))):
        found = codec.decode(done.state(model))
        np.testing.assert_allclose(found.weights, expected.weights, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(found.optimizer, expected.optimizer, atol=1e-5, rtol=1e-5)
        assert found.step == expected.step


def test_ranks_take_the_same_steps_over_all_their_own_rows(approach: str) -> None:
    """Every rank sees its partition whole and no other row; what it sees twice is counted."""
    done = smooth_run(approach)
    spec, dataset = done.run.spec, done.dataset
    steps, repeated = counters(done, "steps"), counters(done, "rows_repeated")
    assert list(steps) == list(repeated) == turns(done)
    for model, epoch in turns(done):
        batch = spec.configs[model].batch_size
        rows = [pair for step in in_step.batches(dataset, batch) for pair in step]
        assert steps[model, epoch] == [in_step.steps(dataset, batch)] * WORKERS
        own = [[each for rank, each in rows if rank == worker] for worker in range(WORKERS)]
        for worker, positions in enumerate(own):
            assert set(positions) == set(range(dataset.rows("train", worker)))
        assert repeated[model, epoch] == [len(each) - len(set(each)) for each in own]
        found = [e.detail["rows"] for e in trained(done) if (e.model, e.epoch) == (model, epoch)]
        assert found == list(map(len, own))


def test_all_ranks_hold_equal_weights(approach: str, finished: Runs) -> None:
    """Trainable weights and Adam's moments, to the bit, and others after every epoch."""
    for done in (smooth_run(approach), finished(approach)):
        digests = counters(done, "weights_digest")
        assert list(digests) == turns(done)
        assert all(len(set(ranks)) == 1 for ranks in digests.values())
        assert len({ranks[0] for ranks in digests.values()}) == len(digests)


def test_the_bytes_of_all_gradients_go_around_the_ring(approach: str) -> None:
    """Each step reduces every trainable weight once, and a rank sends 2 (p - 1) / p of that."""
    done = smooth_run(approach)
    for counter, factor in (("reduced_bytes", 1.0), ("sent_bytes", 2 * (WORKERS - 1) / WORKERS)):
        found = counters(done, counter)
        for model, epoch in turns(done):
            weights = codec.decode(done.state(model)).weights  # all of them train
            count = in_step.steps(done.dataset, done.run.spec.configs[model].batch_size)
            assert found[model, epoch] == [int(factor * count * weights.nbytes)] * WORKERS


def test_one_model_after_the_other(approach: str, finished: Runs) -> None:
    done = finished(approach)
    for mark in ("epoch_started", "evaluated", "epoch_finished"):
        assert [(e.model, e.epoch) for e in done.events if e.kind == mark] == turns(done)
    for kind in ("train", "valid"):
        units = [
            (event.model, event.epoch, event.partition)
            for event in done.events
            if event.kind == "unit_finished" and event.detail["kind"] == kind
        ]
        parts = range(done.run.spec.workers)
        assert units == [(model, epoch, part) for model, epoch in turns(done) for part in parts]


def test_a_workers_time_is_all_accounted_for(approach: str, finished: Runs) -> None:
    """Spans and idling of a worker do not overlap and fill each turn, to 1 ms a gap."""
    done = finished(approach)
    for worker in range(done.run.spec.workers):
        for turn in turns(done):
            spans = sorted(
                (event.start_ns or 0, event.end_ns or 0)
                for event in done.events
                if event.kind == "span"
                and event.worker == worker
                and (event.model, event.epoch) == turn
            )
            assert spans
            for (_, end), (start, _) in pairwise(spans):
                assert -1e6 <= start - end <= 1e6
