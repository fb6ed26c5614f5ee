"""What a training step must offer, whichever framework computes it; and what both share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from experiments.models import frameworks
from experiments.models.batching import Rows
from experiments.models.codec import Floats
from experiments.models.initial import layers

if TYPE_CHECKING:
    from experiments.models.codec import State

BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-7

DDP = "ddp"
"""The framework torch as one rank among several (:mod:`experiments.models.steps_ddp`)."""


@dataclass(frozen=True)
class Totals:
    """Sums over the batches trained since :meth:`Step.reset_totals`.

    Attributes
    ----------
    loss_sum : cross-entropy summed over rows, without the L2 term.
    correct : rows whose label had the highest logit.
    """

    loss_sum: float
    correct: int


class Step(Protocol):
    """One compiled model, its optimizer, and its running sums.

    Learning rate, regularization, weights and optimizer state are variables of it: setting them
    neither rebuilds nor retraces anything. Adam follows Keras (β₁ 0.9, β₂ 0.999, ε 1e-7); L2 adds
    ``λ · Σ w²`` over the tensors of :func:`regularized` to the loss that is minimized.

    Attributes
    ----------
    layout : digest of its weight shapes.
    traces : how often Python code was turned into a graph (0 on torch, which has none).
    """

    layout: str
    traces: int

    def initial_weights(self, seed: int) -> list[Floats]:
        """Random weights that depend on the seed alone; what is set stays."""
        ...

    def configure(self, learning_rate: float, regularization: float) -> None:
        """Set Adam's step size and λ."""
        ...

    def set_state(self, state: State) -> None:
        """Set weights and optimizer; an empty ``state.optimizer`` means fresh moments."""
        ...

    def get_state(self) -> tuple[list[Floats], list[Floats], int]:
        """Weights, moments (first, then second) and step count; read them before training on."""
        ...

    def reseed(self, seed: int) -> None:
        """Make every later dropout mask a function of ``seed``."""
        ...

    def train_batch(self, x: Rows, y: Rows) -> None:
        """One optimizer step on float32 rows and int16 one-hot labels; does not wait for it."""
        ...

    def predict(self, x: Rows) -> Floats:
        """Logits [n, classes] of float32 rows."""
        ...

    def reset_totals(self) -> None:
        """Set the sums to zero."""
        ...

    def totals(self) -> Totals:
        """Wait for the work in flight and read the sums."""
        ...


def make_step(framework: str, architecture: str, input_shape: Sequence[int], classes: int) -> Step:
    """Start the framework if need be, build the model and wrap it.

    Parameters
    ----------
    framework : ``tensorflow``, ``torch`` or :data:`DDP`. An architecture that NumPy trains is
        trained by NumPy on the first two; on the third by torch, since NumPy has no ranks.

    Raises
    ------
    SpecError
        No such framework or architecture, or it cannot take such rows.
    """
    from experiments.models import architectures

    if framework == DDP:
        frameworks.start("torch")
        from experiments.models.steps_ddp import DataParallelStep

        return DataParallelStep(architectures.build(architecture, input_shape, classes))
    if architectures.framework_of(architecture, framework) == "numpy":
        from experiments.models.steps_numpy import LinearStep

        return LinearStep(input_shape, classes)
    frameworks.start(framework)
    model = architectures.build(architecture, input_shape, classes)
    if framework == "torch":
        from experiments.models.steps_torch import TorchStep

        return TorchStep(model)
    from experiments.models.steps_tf import TensorFlowStep

    return TensorFlowStep(model)


def layout_of(model: Any) -> str:
    """Digest of the shapes of a model's weights and of which of them train."""
    trainable = {id(variable) for variable in model.trainable_variables}
    return layout_digest([(weight.shape, id(weight) in trainable) for weight in model.weights])


def layout_digest(weights: Iterable[tuple[Sequence[int], bool]]) -> str:
    """Digest of weights given as their shape and whether they train, in order."""
    shapes = [[list(shape), trains] for shape, trains in weights]
    return hashlib.blake2b(json.dumps(shapes).encode(), digest_size=8).hexdigest()


def regularized(model: Any) -> list[bool]:
    """For each trainable variable, whether L2 acts on it.

    As the release's ``patch_model``: kernels and biases of the layers that have a
    ``kernel_regularizer`` or ``bias_regularizer``. Depthwise kernels and batch normalization have
    neither.
    """
    chosen: set[int] = set()
    for layer in layers(model):
        for name in ("kernel", "bias"):
            if hasattr(layer, f"{name}_regularizer"):
                chosen.add(id(getattr(layer, name, None)))
    return [id(variable) in chosen for variable in model.trainable_variables]


def seed_states(model: Any) -> list[Any]:
    """The variables that hold the state of a model's random generators, in a fixed order."""
    weights = {id(weight) for weight in model.weights}
    return [
        variable
        for variable in model.variables
        if id(variable) not in weights and variable.path.endswith("seed_generator_state")
    ]


def seed_pair(seed: int, index: int) -> npt.NDArray[np.uint32]:
    """State for the generator at ``index``: Keras adds 1 to the second number at every draw.

    Generators start 2^24 draws apart, so that two of them never give the same mask in one unit.
    """
    return np.array([seed, index << 24], np.uint32)
