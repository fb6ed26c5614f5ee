"""The training step of softmax regression in plain NumPy: nothing to import, build or trace.

It is what the other frameworks are compared with, and a model that a killed process has back at
once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from experiments.models import initial, steps
from experiments.models.batching import Rows
from experiments.models.codec import Floats, State
from experiments.models.steps import BETA_1, BETA_2, EPSILON, Totals


class LinearStep:
    """See :class:`experiments.models.steps.Step`: logits are ``x · kernel + bias``.

    The layout is that of the same model in Keras, so states may change between frameworks.

    Parameters
    ----------
    input_shape : of one row, which is flattened.
    classes : number of logits.
    """

    def __init__(self, input_shape: Sequence[int], classes: int) -> None:
        self._shapes = [(math.prod(input_shape), classes), (classes,)]
        self.layout = steps.layout_digest([(shape, True) for shape in self._shapes])
        self.traces = 0
        self._weights = [np.zeros(shape, np.float32) for shape in self._shapes]
        self._first = [np.zeros(shape, np.float32) for shape in self._shapes]
        self._second = [np.zeros(shape, np.float32) for shape in self._shapes]
        self._step = 0
        self._learning_rate = np.float32(0.0)
        self._decay = np.float32(0.0)
        self.reset_totals()

    def initial_weights(self, seed: int) -> list[Floats]:
        kernel, bias = self._shapes
        generator = np.random.default_rng([seed, 0])
        return [initial.glorot_uniform(kernel, generator), np.zeros(bias, np.float32)]

    def configure(self, learning_rate: float, regularization: float) -> None:
        self._learning_rate = np.float32(learning_rate)
        self._decay = np.float32(2.0 * regularization)

    def set_state(self, state: State) -> None:
        _cut(state.weights, self._weights)
        moments = [*self._first, *self._second]
        if state.optimizer.size:
            _cut(state.optimizer, moments)
        else:
            for moment in moments:
                moment.fill(0.0)
        self._step = state.step

    def get_state(self) -> tuple[list[Floats], list[Floats], int]:
        return self._weights, [*self._first, *self._second], self._step

    def reseed(self, seed: int) -> None:
        """Nothing here is random."""

    def train_batch(self, x: Rows, y: Rows) -> None:
        rows = x.reshape(len(x), -1)
        logits = self._logits(rows)
        highest = logits.max(axis=1, keepdims=True)
        log_sum = highest + np.log(np.exp(logits - highest).sum(axis=1, keepdims=True))
        self._loss_sum += float(((log_sum - logits) * y).sum())
        self._correct += int((logits.argmax(axis=1) == y.argmax(axis=1)).sum())
        errors = (np.exp(logits - log_sum) - y) / np.float32(len(y))
        self._apply_adam([rows.T @ errors, errors.sum(axis=0)])

    def predict(self, x: Rows) -> Floats:
        return self._logits(x.reshape(len(x), -1))

    def reset_totals(self) -> None:
        self._loss_sum = 0.0
        self._correct = 0

    def totals(self) -> Totals:
        return Totals(self._loss_sum, self._correct)

    def _logits(self, rows: Rows) -> Floats:
        kernel, bias = self._weights
        logits: Floats = rows @ kernel + bias
        return logits

    def _apply_adam(self, gradients: Sequence[Floats]) -> None:
        """One step of Adam on ``gradient + 2 λ w`` in Keras' form, with ε unscaled."""
        self._step += 1
        step = np.float32(self._step)
        power_1, power_2 = np.float32(BETA_1) ** step, np.float32(BETA_2) ** step
        rate = self._learning_rate * np.sqrt(1 - power_2) / (1 - power_1)
        for weight, first, second, gradient in zip(
            self._weights, self._first, self._second, gradients, strict=True
        ):
            total = gradient + self._decay * weight
            first[...] += (total - first) * np.float32(1 - BETA_1)
            second[...] += (total * total - second) * np.float32(1 - BETA_2)
            weight[...] -= rate * first / (np.sqrt(second) + np.float32(EPSILON))


def _cut(flat: Floats, tensors: Sequence[npt.NDArray[np.float32]]) -> None:
    """Fill tensors with the pieces of a flat array, in order."""
    start = 0
    for tensor in tensors:
        tensor[...] = flat[start : start + tensor.size].reshape(tensor.shape)
        start += tensor.size
