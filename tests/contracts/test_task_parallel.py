"""The contract of every task-parallel approach: a model is one worker's, and so is all data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from experiments.approaches.base import Trait, find
from experiments.approaches.parquet_shard import ParquetShard
from experiments.specs.load import approaches
from experiments.telemetry.journal import Event
from tests.contracts import whole
from tests.contracts.conftest import Finished
from tests.contracts.test_hops import weights

TASK_PARALLEL = [name for name in approaches() if Trait.TASK_PARALLEL in find(name).traits]
Runs = Callable[..., Finished]


@pytest.fixture(params=TASK_PARALLEL)
def approach(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def marks(done: Finished, kind: str, model: int) -> list[Event]:
    """A model's marks of a kind, in order."""
    return [event for event in done.events if event.kind == kind and event.model == model]


def test_there_is_an_approach_that_is_task_parallel() -> None:
    assert TASK_PARALLEL


def test_it_equals_sequential_sgd_on_the_whole_data_set(approach: str, finished: Runs) -> None:
    """In one process, from the same weights, over all partitions in order."""
    done = finished(approach)
    for model, expected in enumerate(whole.replayed(done.run.spec)):
        found = weights(done.state(model))
        np.testing.assert_allclose(found, weights(expected), atol=1e-6, rtol=1e-6)


def test_a_model_is_trained_on_all_rows_by_one_worker(approach: str, finished: Runs) -> None:
    """Its units name no partition, follow on each other, and never change the worker."""
    done = finished(approach)
    spec = done.run.spec
    rows = {"train": spec.dataset.train_rows, "valid": spec.dataset.valid_rows}
    order = [(epoch, kind) for epoch in range(1, spec.epochs + 1) for kind in rows]
    for model in range(len(spec.configs)):
        for mark in ("unit_started", "unit_finished"):
            units = marks(done, mark, model)
            assert [(unit.epoch, unit.detail["kind"]) for unit in units] == order
            assert len({unit.worker for unit in units}) == 1
            assert {unit.partition for unit in units} == {None}
        for unit in marks(done, "unit_finished", model):
            assert unit.detail["rows"] == rows[unit.detail["kind"]]
            assert unit.detail["version"] == unit.epoch
        epochs = list(range(1, spec.epochs + 1))
        for mark in ("epoch_started", "evaluated", "epoch_finished"):
            assert [event.epoch for event in marks(done, mark, model)] == epochs


def test_every_worker_has_a_copy_of_all_data(approach: str, finished: Runs, tmp_path: Path) -> None:
    """The bytes of its cast are those of all partitions' files, which are written here again."""
    done = finished(approach)
    spec, dataset = done.run.spec, done.dataset
    shard = ParquetShard(
        str(dataset.root),
        str(tmp_path),
        0,
        spec.protocol.buffer_bytes,
        dataset.input_shape,
        dataset.classes,
    )
    for partition in range(spec.workers):
        replace(shard, partition=partition).cast()
    copy = sum(path.stat().st_size for path in tmp_path.iterdir())
    cast = [event for event in done.events if event.phase == "etl.cast"]
    assert {event.worker: event.bytes for event in cast} == dict.fromkeys(range(2), copy)
    assert sum(event.bytes for event in cast) == spec.workers * copy


def test_as_many_models_as_workers_are_trained_at_once(approach: str, finished: Runs) -> None:
    """All workers take part; one ends a model before it begins another."""
    done = finished(approach)
    models = range(len(done.run.spec.configs))
    workers = {model: marks(done, "unit_started", model)[0].worker for model in models}
    assert set(workers.values()) == set(range(done.run.spec.workers))
    for worker in range(done.run.spec.workers):
        held = [
            event.model
            for event in done.events
            if event.kind == "unit_finished" and event.worker == worker
        ]
        assert (
            len([model for model, after in pairwise(held) if model != after]) == len(set(held)) - 1
        )


def test_a_process_builds_its_model_once_for_all_trials(approach: str, finished: Runs) -> None:
    done = finished(approach)
    counters = [e.detail["counters"] for e in done.events if e.kind == "unit_finished"]
    assert {each["builds"] for each in counters} == {1}
    again = [e for e in done.events if e.kind == "unit_finished" and e.epoch == 2]
    assert not any(event.detail["counters"]["buffer_misses"] for event in again)


def test_a_workers_time_is_all_accounted_for(approach: str, finished: Runs) -> None:
    """Spans and idling of a worker do not overlap and fill its time, to 1 ms a gap."""
    done = finished(approach)
    for worker in range(done.run.spec.workers):
        spans = sorted(
            (event.start_ns or 0, event.end_ns or 0)
            for event in done.events
            if event.kind == "span" and event.worker == worker and event.epoch is not None
        )
        assert spans
        for (_, end), (start, _) in pairwise(spans):
            assert -1e6 <= start - end <= 1e6
