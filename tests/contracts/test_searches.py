"""Every approach is searched: the same sequence for all, NaN ends one configuration only."""

from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from experiments.approaches.base import Trait, find, job
from experiments.datasets import one_hot, prepare
from experiments.models.session import Session
from experiments.mop import invariants
from experiments.mop.visits import visits
from experiments.runner.execute import execute
from experiments.runner.plan import PlannedRun, planned
from experiments.search.journaled import assignments_of, drawn, steps
from experiments.specs.load import approaches
from experiments.specs.model import RunSpec, derive_seed
from experiments.specs.search import Axis, SearchSpec
from experiments.telemetry.journal import Event, read
from tests.contracts.conftest import contract_spec
from tests.contracts.test_hops import weights

LEADER = next(iter(approaches()))
EPOCHS = 4


def search_run(name: str, follows: str | None, policy: str = "random") -> PlannedRun:
    """ASHA over a model without a framework, with rates that no training survives among others."""
    space = (
        Axis("architecture", "choice", ("linear",)),
        Axis("learning_rate", "choice", (1e-3, 1e-2, 1e-1, 1e38)),
        Axis("regularization", "choice", (1e-4,)),
        Axis("batch_size", "integers", (8, 32)),
    )
    search = SearchSpec("asha", 6, 2, False, 1, 2, 1, space, follows)
    spec = contract_spec(name, policy)
    spec = replace(spec, dataset=contract_spec(LEADER).dataset)
    return planned(replace(spec, experiment="searched", epochs=EPOCHS, configs=(), search=search))


@functools.cache
def searched(name: str) -> tuple[PlannedRun, tuple[Event, ...]]:
    """A finished search; all approaches but the first follow it."""
    leader = None if name == LEADER else searched(LEADER)[0].name
    run = search_run(name, leader)
    execute(run, lambda _: None)
    return run, tuple(read(run.folder.journal))


@pytest.mark.parametrize("name", approaches())
def test_all_approaches_are_given_the_same_sequence(name: str) -> None:
    """The same assignments in the same order, none before as much was known as in the first."""
    first, ours = steps(searched(LEADER)[1]), steps(searched(name)[1])
    assert [step.assignment for step in ours] == [step.assignment for step in first]
    assert all(a.told >= b.told for a, b in zip(ours, first, strict=True))
    budgets = Counter(step.assignment.stop for step in first)
    assert budgets[1] == 6
    assert budgets[2] >= 1


@pytest.mark.parametrize("name", approaches())
def test_every_assignment_is_trained_evaluated_and_told_once(name: str) -> None:
    run, events = searched(name)
    asked = [a for e in events if e.kind == "asked" for a in assignments_of(e)]
    told = {(e.model, e.epoch): e.detail for e in events if e.kind == "told"}
    evaluated = {(e.model, e.epoch): e.detail for e in events if e.kind == "evaluated"}
    assert len(told) == len(asked)
    assert sum(event.kind == "evaluated" for event in events) == len(evaluated)
    for assignment in asked:
        ends = range(assignment.start + 1, assignment.stop + 1)
        (epoch,) = [epoch for epoch in ends if (assignment.model, epoch) in told]
        assert told[assignment.model, epoch]["loss"] == evaluated[assignment.model, epoch]["loss"]
        assert epoch == assignment.stop or told[assignment.model, epoch]["diverged"]
    assert all(mark["rows"] == run.spec.dataset.valid_rows for mark in evaluated.values())
    states = {path.name for path in run.folder.models.iterdir()}
    assert states == {f"{model}.state" for model in drawn(events)}


@pytest.mark.parametrize("name", approaches())
def test_a_configuration_that_diverges_ends_and_the_run_does_not(name: str) -> None:
    _, events = searched(name)
    wild = {model for model, config in drawn(events).items() if config.learning_rate > 1}
    assert wild
    for event in events:
        if event.kind == "told":
            assert event.detail["diverged"] == (event.model in wild)
            assert math.isfinite(float(event.detail["loss"])) == (event.model not in wild)
    assert events[-1].kind == "run_finished"


@pytest.mark.parametrize("name", [name for name in approaches() if Trait.HOPS in find(name).traits])
def test_a_search_that_hops_equals_sequential_sgd(name: str) -> None:
    """Stopped, resumed and promoted models alike: each in the order of its own visits."""
    run, events = searched(name)
    spec: RunSpec = run.spec
    finished = [(e.model, e.epoch) for e in events if e.kind == "evaluated"]
    entries = [(model, epoch) for model, epoch in finished if model is not None and epoch]
    invariants.check_each(events, entries, spec.workers)
    data = prepare(spec.dataset, spec.workers, spec.seed)
    order = visits(events)
    for model, config in drawn(events).items():
        if config.learning_rate > 1:
            continue
        session = Session(0)
        work = job(config, data)["model"]
        seed = derive_seed(spec.seed, "initial", config.architecture)
        session.load(work, session.initial_state(work, seed))
        for visit in order:
            if visit.model == model:
                part = data.partition("train", visit.partition)
                unit = derive_seed(spec.seed, "unit", model, visit.epoch, visit.partition)
                session.train_start(work, unit)
                session.train_rows(np.array(part.x), one_hot(np.array(part.y), data.classes))
                session.train_finish()
        found = weights((run.folder.models / f"{model}.state").read_bytes())
        np.testing.assert_allclose(found, weights(session.dump()), atol=1e-6, rtol=1e-6)
