"""The training step on TensorFlow: one graph per model for every configuration and batch size."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from experiments.models import initial, steps
from experiments.models.batching import Rows
from experiments.models.codec import Floats, State
from experiments.models.steps import BETA_1, BETA_2, EPSILON, Totals


class TensorFlowStep:
    """See :class:`experiments.models.steps.Step`. The first batch of each kind traces its graph."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.layout = steps.layout_of(model)
        self.traces = 0
        self._weights = [variable.value for variable in model.weights]
        self._trainable = [variable.value for variable in model.trainable_variables]
        self._regularized = steps.regularized(model)
        self._seeds = steps.seed_states(model)
        self._moments = [
            tf.Variable(tf.zeros_like(variable), trainable=False)
            for _ in ("first", "second")
            for variable in self._trainable
        ]
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._learning_rate = tf.Variable(0.0, trainable=False)
        self._regularization = tf.Variable(0.0, trainable=False)
        self._loss_sum = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._correct = tf.Variable(0, dtype=tf.int64, trainable=False)
        rows = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        signature = [rows, tf.TensorSpec((None, int(model.output_shape[-1])), tf.int16)]
        self._set_weights = self._setter(self._weights)
        self._set_moments = self._setter(self._moments)
        self._read = tf.function(self._read_graph, input_signature=[], autograph=False)
        self._train = tf.function(self._train_graph, input_signature=signature, autograph=False)
        self._predict = tf.function(self._predict_graph, input_signature=[rows], autograph=False)

    def initial_weights(self, seed: int) -> list[Floats]:
        return initial.draw(self.model, seed)

    def configure(self, learning_rate: float, regularization: float) -> None:
        self._learning_rate.assign(learning_rate)
        self._regularization.assign(regularization)

    def set_state(self, state: State) -> None:
        self._set_weights(state.weights)
        moments = state.optimizer
        if not moments.size:
            moments = np.zeros(sum(map(_size, self._moments)), np.float32)
        self._set_moments(moments)
        self._step.assign(state.step)

    def get_state(self) -> tuple[list[Floats], list[Floats], int]:
        arrays = [_array(tensor) for tensor in self._read()]
        cut = len(self._weights)
        return arrays[:cut], arrays[cut:], int(self._step.numpy())

    def reseed(self, seed: int) -> None:
        for index, state in enumerate(self._seeds):
            state.assign(steps.seed_pair(seed, index))

    def train_batch(self, x: Rows, y: Rows) -> None:
        self._train(x, y)

    def predict(self, x: Rows) -> Floats:
        return _array(self._predict(x))

    def reset_totals(self) -> None:
        self._loss_sum.assign(0.0)
        self._correct.assign(0)

    def totals(self) -> Totals:
        return Totals(float(self._loss_sum.numpy()), int(self._correct.numpy()))

    def _setter(self, variables: list[Any]) -> Any:
        """A graph that cuts a flat array and sets all these variables in one call."""
        sizes = [_size(variable) for variable in variables]

        def set_all(flat: Any) -> None:
            self.traces += 1
            for index, piece in enumerate(tf.split(flat, sizes)):
                variables[index].assign(tf.reshape(piece, variables[index].shape))

        signature = [tf.TensorSpec((sum(sizes),), tf.float32)]
        return tf.function(set_all, input_signature=signature, autograph=False)

    def _read_graph(self) -> list[Any]:
        self.traces += 1
        return [variable.read_value() for variable in (*self._weights, *self._moments)]

    def _train_graph(self, x: Any, y: Any) -> None:
        self.traces += 1
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._trainable)
            logits = self.model(x, training=True)
            losses = _cross_entropy(logits, y)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, self._trainable)
        self._apply_adam(gradients)
        self._loss_sum.assign_add(tf.cast(tf.reduce_sum(losses), tf.float64))
        self._correct.assign_add(_top1(logits, y))

    def _apply_adam(self, gradients: list[Any]) -> None:
        """One step of Adam on ``gradient + 2 λ w``; the kernel is Keras' formula in one pass."""
        step = tf.cast(self._step.assign_add(1), tf.float32)
        powers = tf.pow(BETA_1, step), tf.pow(BETA_2, step)
        decay = 2.0 * self._regularization
        count = len(self._trainable)
        for index, gradient in enumerate(gradients):
            weight = self._trainable[index]
            total = gradient + decay * weight if self._regularized[index] else gradient
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=self._moments[index].handle,
                v=self._moments[count + index].handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=self._learning_rate,
                beta1=BETA_1,
                beta2=BETA_2,
                epsilon=EPSILON,
                grad=total,
            )

    def _predict_graph(self, x: Any) -> Any:
        self.traces += 1
        return self.model(x, training=False)


def _cross_entropy(logits: Any, y: Any) -> Any:
    return tf.nn.softmax_cross_entropy_with_logits(tf.cast(y, tf.float32), logits)


def _top1(logits: Any, y: Any) -> Any:
    """Rows whose label has the highest logit; a row without finite logits has no answer."""
    answered = tf.reduce_all(tf.math.is_finite(logits), 1)
    return tf.math.count_nonzero(answered & tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1)))


def _size(variable: Any) -> int:
    return int(variable.shape.num_elements())


def _array(tensor: Any) -> Floats:
    """A tensor's floats; on a CPU without a copy."""
    return np.asarray(tensor.numpy() if "GPU" in tensor.device else memoryview(tensor))
