"""The contract of every published system that is run as it is: what it trains is what we train.

One run serves all tests. It hops in an order of its own; what it trained is compared with training
in that order in this process, in another major version of Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from experiments.models import codec
from experiments.models.measures import roc_area
from experiments.mop import invariants
from experiments.mop.visits import visits
from tests.contracts.conftest import Finished
from tests.families import PACKAGES
from tests.faults.harness import replayed

Runs = Callable[..., Finished]


@pytest.fixture(params=PACKAGES)
def done(request: pytest.FixtureRequest, finished: Runs) -> Finished:
    return finished(str(request.param))


def test_it_keeps_the_hoppers_invariants(done: Finished) -> None:
    spec = done.run.spec
    invariants.check(done.events, len(spec.configs), spec.workers, range(1, spec.epochs + 1))
    first = [(v.model, v.partition) for v in visits(done.events) if v.epoch == 1]
    second = [(v.model, v.partition) for v in visits(done.events) if v.epoch == 2]
    assert first != second


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")
def test_hopping_equals_sequential_sgd(done: Finished) -> None:
    """Same initial weights, same rows in the same order; optimizer and L2 term cross every hop."""
    sane = replayed(done.run.spec, done.events)[:2]
    for model, expected in enumerate(sane):
        ours, theirs = codec.decode(expected), codec.decode(done.state(model))
        assert theirs.layout == ours.layout
        assert theirs.step == ours.step
        np.testing.assert_allclose(theirs.weights, ours.weights, atol=1e-4, rtol=1e-3)
        np.testing.assert_allclose(theirs.optimizer, ours.optimizer, atol=1e-4, rtol=1e-3)


def test_its_data_leave_the_database_in_four_steps(done: Finished) -> None:
    phases = [event.phase for event in done.events if event.phase and event.phase[:4] == "etl."]
    assert phases == ["etl.load", "etl.load", "etl.export", "etl.export", "etl.cast", "etl.pack"]
    moved = {event.phase: event.bytes for event in done.events if event.phase}
    assert min(moved["etl.export"], moved["etl.cast"], moved["etl.pack"]) > 0


def test_every_row_is_trained_on_once_an_epoch(done: Finished) -> None:
    spec = done.run.spec
    for model in range(len(spec.configs)):
        rows = [
            event.detail["rows"]
            for event in done.events
            if event.kind == "unit_finished"
            and event.detail["kind"] == "train"
            and event.model == model
        ]
        assert sum(rows) == spec.epochs * spec.dataset.train_rows


def test_a_model_that_diverges_ends_with_nan_and_not_the_run(done: Finished) -> None:
    mark = done.marks()[done.run.spec.epochs, 2]
    assert not math.isfinite(float(mark["loss"]))
    assert "auc" not in mark


def test_the_area_under_the_curve_is_that_of_all_segments_together(done: Finished) -> None:
    mark, whole = done.marks()[done.run.spec.epochs, 0], done.evaluated_at_once(0)
    assert mark["auc"] == pytest.approx(roc_area(whole.ranks), abs=1e-3)
    assert 0 < mark["auc"] < 1


def test_a_workers_time_is_all_accounted_for(done: Finished) -> None:
    """Spans and idling of a worker do not overlap and fill each epoch, to 1 ms a gap."""
    for worker in range(done.run.spec.workers):
        for epoch in (1, 2):
            spans = sorted(
                (event.start_ns or 0, event.end_ns or 0)
                for event in done.events
                if event.kind == "span" and event.worker == worker and event.epoch == epoch
            )
            assert spans
            for (_, end), (start, _) in pairwise(spans):
                assert -1e6 <= start - end <= 1e6
