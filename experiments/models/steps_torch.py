"""The training step on torch: the same model, run eagerly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from experiments.models import initial, steps
from experiments.models.batching import Rows
from experiments.models.codec import Floats, State
from experiments.models.steps import BETA_1, BETA_2, EPSILON, Totals


class TorchStep:
    """See :class:`experiments.models.steps.Step`."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.layout = steps.layout_of(model)
        self.traces = 0
        self._weights = [variable.value for variable in model.weights]
        self._trainable = [variable.value for variable in model.trainable_variables]
        chosen = steps.regularized(model)
        self._decayed = [index for index, is_chosen in enumerate(chosen) if is_chosen]
        self._seeds = steps.seed_states(model)
        self._first = [torch.zeros_like(weight, requires_grad=False) for weight in self._trainable]
        self._second = [torch.zeros_like(weight, requires_grad=False) for weight in self._trainable]
        self._device = self._weights[0].device
        self._step = 0
        self._learning_rate = 0.0
        self._regularization = 0.0
        self.reset_totals()

    def initial_weights(self, seed: int) -> list[Floats]:
        return initial.draw(self.model, seed)

    def configure(self, learning_rate: float, regularization: float) -> None:
        self._learning_rate = learning_rate
        self._regularization = regularization

    def set_state(self, state: State) -> None:
        moments = [*self._first, *self._second]
        _assign(self._weights, state.weights)
        if state.optimizer.size:
            _assign(moments, state.optimizer)
        else:
            torch._foreach_zero_(moments)
        self._step = state.step

    def get_state(self) -> tuple[list[Floats], list[Floats], int]:
        weights = [tensor.detach().cpu().numpy() for tensor in self._weights]
        moments = [tensor.cpu().numpy() for tensor in (*self._first, *self._second)]
        return weights, moments, self._step

    def reseed(self, seed: int) -> None:
        for index, state in enumerate(self._seeds):
            state.assign(steps.seed_pair(seed, index))

    def train_batch(self, x: Rows, y: Rows) -> None:
        labels = self._tensor(y).float()
        logits = self.model(self._tensor(x), training=True)
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        gradients = torch.autograd.grad(losses.mean(), self._trainable)
        with torch.no_grad():
            self._apply_adam(list(gradients))
            self._count(losses, logits, labels)

    def _count(self, losses: Any, logits: Any, labels: Any) -> None:
        self._loss_sum += losses.sum()
        self._correct += _top1(logits, labels.argmax(1))

    def _apply_adam(self, gradients: list[Any]) -> None:
        """One step of Adam on ``gradient + 2 λ w``, in Keras' arrangement of the formula."""
        if self._decayed:
            torch._foreach_add_(
                [gradients[index] for index in self._decayed],
                [self._trainable[index] for index in self._decayed],
                alpha=2.0 * self._regularization,
            )
        self._step += 1
        rate = self._learning_rate * (1 - BETA_2**self._step) ** 0.5 / (1 - BETA_1**self._step)
        torch._foreach_lerp_(self._first, gradients, 1 - BETA_1)
        torch._foreach_mul_(self._second, BETA_2)
        torch._foreach_addcmul_(self._second, gradients, gradients, 1 - BETA_2)
        divisors = torch._foreach_sqrt(self._second)
        torch._foreach_add_(divisors, EPSILON)
        torch._foreach_addcdiv_(self._trainable, self._first, divisors, -rate)

    def predict(self, x: Rows) -> Floats:
        with torch.no_grad():
            logits: Floats = self.model(self._tensor(x), training=False).cpu().numpy()
        return logits

    def reset_totals(self) -> None:
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self._device)
        self._correct = torch.zeros((), dtype=torch.int64, device=self._device)

    def totals(self) -> Totals:
        return Totals(float(self._loss_sum), int(self._correct))

    def _tensor(self, rows: Rows) -> Any:
        # torch cannot mark a tensor read-only and warns of views of arrays that are.
        make = torch.from_numpy if rows.flags.writeable else torch.tensor
        return make(rows).to(self._device)


def _assign(tensors: list[Any], flat: Floats) -> None:
    """Cut a flat array into tensors."""
    start = 0
    for tensor in tensors:
        target = tensor.detach()
        piece = flat[start : start + target.numel()].reshape(tuple(target.shape))
        start += piece.size
        if target.device.type == "cpu":
            np.copyto(target.numpy(), piece)
        else:
            target.copy_(torch.tensor(piece))


def _top1(logits: Any, target: Any) -> Any:
    """Rows whose label has the highest logit; a row without finite logits has no answer."""
    return (logits.isfinite().all(1) & (logits.argmax(1) == target)).sum()
