from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from experiments.models import architectures, codec, steps
from experiments.models.session import Session

MakeJob = Callable[..., dict[str, Any]]
MakeRows = Callable[..., Any]


@pytest.mark.parametrize(("architecture", "shape"), [("mlp-tiny", (6,)), ("vgg-tiny", (16, 16, 1))])
def test_adam_and_l2_are_those_of_keras(
    make_rows: MakeRows, architecture: str, shape: tuple[int, ...]
) -> None:
    step = steps.make_step("tensorflow", architecture, shape, 7)
    import keras
    import tensorflow as tf

    weights = step.initial_weights(1)
    step.configure(1e-2, 1e-2)
    step.set_state(codec.decode(codec.encode(weights, [], 0, "")))

    model = architectures.build(architecture, shape, 7)
    model.set_weights(weights)
    optimizer = keras.optimizers.Adam(learning_rate=1e-2)
    optimizer.build(model.trainable_variables)
    for seed in range(5):
        x, y = make_rows(8, seed, shape)
        step.train_batch(x, y)
        with tf.GradientTape() as tape:
            losses = keras.losses.categorical_crossentropy(
                y.astype(np.float32), model(x, training=True), from_logits=True
            )
            penalty = sum(tf.reduce_sum(weight**2) for weight in model.trainable_weights)
            loss = tf.reduce_mean(losses) + 1e-2 * penalty
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    ours, moments, count = step.get_state()
    for mine, theirs in zip(ours, model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=2e-5)
    named = {variable.path: np.asarray(variable) for variable in optimizer.variables}
    first = [value for path, value in named.items() if path.endswith("_momentum")]
    second = [value for path, value in named.items() if path.endswith("_velocity")]
    for mine, theirs in zip(moments, [*first, *second], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=2e-6)
    assert count == 5


def test_l2_adds_twice_lambda_times_the_weight_to_kernels_and_biases(
    session: Session, make_job: MakeJob, make_rows: MakeRows
) -> None:
    """After one step Adam's first moment is a tenth of the gradient."""
    start = session.initial_state(make_job(), 3)
    moments = []
    for regularization in (0.0, 0.25):
        job = make_job(regularization=regularization)
        session.load(job, start)
        session.train_start(job, 1)
        session.train_rows(*make_rows(16))
        session.train_finish()
        moments.append(codec.decode(session.dump()).optimizer)
    added = split(10 * (moments[1] - moments[0]), trainable_shapes())
    before = split(codec.decode(start).weights, weight_shapes())
    weights = [before[index] for index in TRAINABLE]
    for kind, found, weight in zip(KINDS, added, weights, strict=True):
        expected = 2 * 0.25 * weight if kind in {"kernel", "bias"} else np.zeros_like(weight)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def probe() -> Any:
    return architectures.build("probe", (12, 12, 1), 7)


def weight_shapes() -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in probe().weights]


def trainable_shapes() -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in probe().trainable_weights]


KINDS = ["kernel", "bias", "gamma", "beta", "kernel", "bias", "gamma", "beta", "kernel", "bias"]
TRAINABLE = [0, 1, 2, 3, 6, 7, 8, 9, 12, 13]  # between them lie moving means and variances


def split(
    flat: npt.NDArray[np.float32], shapes: list[tuple[int, ...]]
) -> list[npt.NDArray[np.float32]]:
    cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])
    assert cuts[-1] <= flat.size
    return [
        part.reshape(shape)
        for part, shape in zip(np.split(flat, cuts)[: len(shapes)], shapes, strict=True)
    ]


def test_depthwise_kernels_and_batch_normalization_are_not_regularized() -> None:
    from experiments.models import frameworks

    frameworks.start("tensorflow")
    model = architectures.build("mobilenetv2", (32, 32, 3), 10)
    chosen = steps.regularized(model)
    for variable, is_chosen in zip(model.trainable_variables, chosen, strict=True):
        pointwise = (
            variable.path.endswith(("/kernel", "/bias")) and "depthwise" not in variable.path
        )
        assert is_chosen is pointwise, variable.path


def test_a_batch_does_not_wait_for_the_sums(session: Session, make_job: MakeJob) -> None:
    """Nothing but the sums leaves the graph: a batch returns no tensor to read."""
    step = next(iter(session._steps.values()))
    assert step._train.get_concrete_function().outputs == []  # type: ignore[attr-defined]
