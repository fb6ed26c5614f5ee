"""The contract of every approach that hops (Cerebro, PVLDB 13(11), §3.1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from experiments.approaches.base import Trait, find, job
from experiments.datasets import one_hot
from experiments.models import codec
from experiments.models.session import Session
from experiments.mop import invariants
from experiments.mop.visits import visits
from experiments.specs.load import approaches
from experiments.specs.model import derive_seed
from tests.contracts.conftest import Finished

HOPPING = [name for name in approaches() if Trait.HOPS in find(name).traits]
Runs = Callable[..., Finished]


@pytest.fixture(params=HOPPING)
def approach(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def weights(state: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The state's weights and optimizer slots, end to end."""
    decoded = codec.decode(state)
    return np.concatenate([np.asarray(decoded.weights), np.asarray(decoded.optimizer)])


def test_the_four_invariants_hold(approach: str, finished: Runs) -> None:
    done = finished(approach)
    spec = done.run.spec
    invariants.check(done.events, len(spec.configs), spec.workers, range(1, spec.epochs + 1))


def test_hopping_equals_sequential_sgd(approach: str, finished: Runs) -> None:
    """Every model, trained in one process in the order in which it visited the partitions."""
    done = finished(approach)
    spec, dataset = done.run.spec, done.dataset
    session = Session(2**26)
    order = defaultdict(list)
    for visit in visits(done.events):
        order[visit.model].append(visit)
    for model, config in enumerate(spec.configs):
        work = job(config, dataset)["model"]
        seed = derive_seed(spec.seed, "initial", config.architecture)
        session.load(work, session.initial_state(work, seed))
        assert len(order[model]) == spec.epochs * spec.workers
        for visit in order[model]:
            part = dataset.partition("train", visit.partition)
            unit = derive_seed(spec.seed, "unit", model, visit.epoch, visit.partition)
            session.train_start(work, unit)
            session.train_rows(np.array(part.x), one_hot(np.array(part.y), dataset.classes))
            session.train_finish()
        found = done.state(model)
        np.testing.assert_allclose(weights(found), weights(session.dump()), atol=1e-6, rtol=1e-6)


def test_training_changes_every_model_differently(approach: str, finished: Runs) -> None:
    done = finished(approach)
    states = [weights(done.state(model)) for model in range(len(done.run.spec.configs))]
    for one in range(len(states)):
        for other in range(one):
            assert not np.allclose(states[one], states[other])


def test_a_workers_time_is_all_accounted_for(approach: str, finished: Runs) -> None:
    """Spans and idling of a worker do not overlap and fill each epoch, to 1 ms a gap."""
    done = finished(approach)
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


def test_another_approach_repeats_the_order_to_the_same_weights(
    approach: str, finished: Runs
) -> None:
    """``replay`` of the first hopping approach's visit order: the approach does not matter."""
    first = finished(HOPPING[0])
    again = finished(approach, f"replay:{first.run.name}")
    assert len(visits(again.events)) == len(visits(first.events))
    for model in range(len(first.run.spec.configs)):
        states = [weights(done.state(model)) for done in (first, again)]
        np.testing.assert_allclose(states[0], states[1], atol=1e-6, rtol=1e-6)


def test_nothing_is_built_or_traced_again_for_a_hop(approach: str, finished: Runs) -> None:
    done = finished(approach)
    counters = [e.detail["counters"] for e in done.events if e.kind == "unit_finished"]
    assert all(each["builds"] == 1 for each in counters)
    last = [e for e in done.events if e.kind == "unit_finished" and e.epoch == 2]
    first = [e for e in done.events if e.kind == "unit_finished" and e.epoch == 1]
    for worker in range(done.run.spec.workers):
        traces = [
            max(e.detail["counters"]["traces"] for e in events if e.worker == worker)
            for events in (first, last)
        ]
        assert traces[0] == traces[1]
    hits = [e.detail["counters"]["buffer_misses"] for e in last if e.detail["kind"] == "train"]
    assert not any(hits)
