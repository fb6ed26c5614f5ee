"""The NumPy step against TensorFlow's on the same model, and what makes it deterministic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from experiments.models import architectures, codec, frameworks, initial, steps
from experiments.models.session import Session
from experiments.models.steps_numpy import LinearStep

MakeJob = Callable[..., dict[str, Any]]
MakeRows = Callable[..., Any]
SHAPE, CLASSES = (8, 8, 1), 7


@pytest.fixture
def pair() -> tuple[LinearStep, steps.Step]:
    """The step and TensorFlow's, on the same weights."""
    frameworks.start("tensorflow")
    from experiments.models.steps_tf import TensorFlowStep

    ours = LinearStep(SHAPE, CLASSES)
    other = TensorFlowStep(architectures.build("linear", SHAPE, CLASSES))
    assert ours.layout == other.layout
    start = codec.decode(codec.encode(ours.initial_weights(5), [], 0, ours.layout), other.layout)
    for step in (ours, other):
        step.configure(1e-2, 1e-2)
        step.set_state(start)
    return ours, other


def test_training_gives_tensorflows_numbers(
    pair: tuple[LinearStep, steps.Step], make_rows: MakeRows
) -> None:
    for seed in range(10):
        x, y = make_rows(1 + 3 * seed, seed, SHAPE)
        for step in pair:
            step.train_batch(x, y)
    (ours, our_moments, our_count), (theirs, their_moments, count) = (
        step.get_state() for step in pair
    )
    for mine, other in zip([*ours, *our_moments], [*theirs, *their_moments], strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)
        assert mine.dtype == np.float32
    assert our_count == count == 10
    found, expected = (step.totals() for step in pair)
    assert found.loss_sum == pytest.approx(expected.loss_sum, rel=1e-5)
    assert found.correct == expected.correct


@pytest.mark.parametrize("rows", [1, 64])
def test_logits_are_tensorflows(
    pair: tuple[LinearStep, steps.Step], make_rows: MakeRows, rows: int
) -> None:
    x, _ = make_rows(rows, 3, SHAPE)
    ours, theirs = (step.predict(x) for step in pair)
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_initial_weights_are_those_of_the_keras_model() -> None:
    frameworks.start("tensorflow")
    model = architectures.build("linear", SHAPE, CLASSES)
    for mine, other in zip(
        LinearStep(SHAPE, CLASSES).initial_weights(9), initial.draw(model, 9), strict=True
    ):
        np.testing.assert_array_equal(mine, other)


def test_logits_of_any_size_give_finite_losses() -> None:
    step = LinearStep((1,), 2)
    big = np.array([1e4, -1e4, 0.0, 0.0], np.float32)
    step.set_state(codec.State(big, big[:0], 0, step.layout))
    step.train_batch(np.ones((1, 1), np.float32), np.array([[0, 1]], np.int16))
    assert step.totals().loss_sum == pytest.approx(2e4)


def test_a_hop_changes_no_bit(make_job: MakeJob, make_rows: MakeRows) -> None:
    """One session, or a fresh one for every unit: the same bytes."""
    job = make_job(architecture="linear", input_shape=list(SHAPE), classes=CLASSES)
    whole = Session(0)
    state = whole.initial_state(job, 3)
    whole.load(job, state)
    for seed in range(3):
        hopped = Session(0)
        hopped.load(job, state)
        for session in (whole, hopped):
            session.train_start(job, seed)
            session.train_rows(*make_rows(41, seed, SHAPE))
            session.train_finish()
        state = hopped.dump()
    assert state == whole.dump()
