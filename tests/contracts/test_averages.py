"""The contract of every approach that averages: MADlib's model averaging (paper, §5)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from experiments.approaches.base import Trait, find, job
from experiments.datasets import one_hot
from experiments.models import codec
from experiments.models.session import Session
from experiments.specs.load import approaches
from experiments.specs.model import derive_seed
from tests.contracts.conftest import Finished

AVERAGING = [name for name in approaches() if Trait.AVERAGES in find(name).traits]
Runs = Callable[..., Finished]


@pytest.fixture(params=AVERAGING)
def approach(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_there_is_an_approach_that_averages() -> None:
    assert AVERAGING


def test_it_equals_the_average_of_what_each_segment_learned(approach: str, finished: Runs) -> None:
    """Replayed in one process: W trainings from the same state, averaged by rows, every epoch."""
    done = finished(approach)
    spec, dataset = done.run.spec, done.dataset
    session = Session(2**26)
    for model, config in enumerate(spec.configs):
        work = job(config, dataset)["model"]
        seed = derive_seed(spec.seed, "initial", config.architecture)
        state = session.initial_state(work, seed)
        for epoch in range(1, spec.epochs + 1):
            learned, rows = [], []
            for key in range(spec.workers):
                part = dataset.partition("train", key)
                session.load(work, state)
                session.train_start(work, derive_seed(spec.seed, "unit", model, epoch, key))
                session.train_rows(np.array(part.x), one_hot(np.array(part.y), dataset.classes))
                rows.append(session.train_finish().rows)
                learned.append(codec.decode(session.dump()))
            assert sum(rows) == spec.dataset.train_rows
            weights, slots = (
                np.average(np.stack(tensors).astype(np.float64), axis=0, weights=rows)
                for tensors in zip(*((one.weights, one.optimizer) for one in learned), strict=True)
            )
            steps = np.average([one.step for one in learned], weights=rows)
            state = codec.encode(
                [weights.astype("<f4")],
                [slots.astype("<f4")],
                round(float(steps)),
                learned[0].layout,
            )
        found, expected = codec.decode(done.state(model)), codec.decode(state)
        np.testing.assert_allclose(found.weights, expected.weights, atol=1e-6, rtol=1e-6)
        np.testing.assert_allclose(found.optimizer, expected.optimizer, atol=1e-6, rtol=1e-6)
        assert found.step == expected.step


def test_every_configuration_is_trained_in_turn_and_merged_once_per_epoch(
    approach: str, finished: Runs
) -> None:
    done = finished(approach)
    spec = done.run.spec
    parts = range(spec.workers)
    turns = [(m, e) for m in range(len(spec.configs)) for e in range(1, spec.epochs + 1)]
    for kind in ("train", "valid"):
        units = [
            (event.model, event.epoch, event.partition)
            for event in done.events
            if event.kind == "unit_finished" and event.detail["kind"] == kind
        ]
        assert units == [(model, epoch, part) for model, epoch in turns for part in parts]
    for mark in ("epoch_started", "merged", "evaluated", "epoch_finished"):
        assert [(e.model, e.epoch) for e in done.events if e.kind == mark] == turns
    merges = [e for e in done.events if e.kind == "span" and e.phase == "merge"]
    assert [(e.model, e.epoch) for e in merges] == turns
    assert all(event.seconds > 0 for event in merges)


def test_all_segments_train_at_once(approach: str, finished: Runs) -> None:
    """Every segment has begun before any has ended, or one would have waited for the other."""
    done = finished(approach)
    spans = [e for e in done.events if e.kind == "span" and e.phase == "train"]
    turns = {(event.model, event.epoch) for event in spans}
    together = 0
    for turn in turns:
        own = [event for event in spans if (event.model, event.epoch) == turn]
        assert {event.worker for event in own} == set(range(done.run.spec.workers))
        together += max(e.start_ns or 0 for e in own) < min(e.end_ns or 0 for e in own)
    assert together > len(turns) / 2


def test_a_workers_time_is_all_accounted_for(approach: str, finished: Runs) -> None:
    """Spans and idling of a worker do not overlap and fill each turn, to 1 ms a gap."""
    done = finished(approach)
    turns = {(e.model, e.epoch) for e in done.events if e.kind == "epoch_started"}
    for worker in range(done.run.spec.workers):
        for turn in turns:
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
