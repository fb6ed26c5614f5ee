"""Model configs out of a space: all points of it, or one drawn at random."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

from experiments.errors import SpecError
from experiments.specs.model import ModelConfig
from experiments.specs.search import HYPERPARAMETERS, Axis, Value

ARCHITECTURE = "architecture"


def config_of(values: dict[str, Any]) -> ModelConfig:
    """A model config of one value per hyperparameter, each as the type it has."""
    return ModelConfig(**{name: kind(values[name]) for name, kind in HYPERPARAMETERS.items()})


def draw(space: Sequence[Axis], stream: random.Random) -> ModelConfig:
    """A point at random, each hyperparameter by its axis's own distribution."""
    return config_of({axis.name: _value(axis, stream) for axis in space})


def _value(axis: Axis, stream: random.Random) -> Value:
    if axis.kind == "choice":
        return stream.choice(axis.values)
    low, high = (float(value) for value in axis.values)
    if axis.kind == "integers":
        return stream.randint(int(low), int(high))
    if axis.kind == "uniform":
        return stream.uniform(low, high)
    return min(max(math.exp(stream.uniform(math.log(low), math.log(high))), low), high)


def points(space: Sequence[Axis]) -> list[ModelConfig]:
    """All points, the last hyperparameter changing fastest.

    Raises
    ------
    SpecError
        An axis is no choice, so that there is no end of points.
    """
    for axis in space:
        if axis.kind != "choice":
            raise SpecError(
                f"searcher grid needs a choice of values, and {axis.name} is {axis.kind} in the "
                "space: name its values there, or choose another searcher"
            )
    names = [axis.name for axis in space]
    return [
        config_of(dict(zip(names, values, strict=True)))
        for values in itertools.product(*(axis.values for axis in space))
    ]


def one_of_each_architecture(space: Sequence[Axis]) -> list[ModelConfig]:
    """A config for every architecture, with the least of everything else.

    What has to be built to train any point of the space, and the smallest batch that there is.
    """
    least = {axis.name: min(axis.values, key=float) for axis in space if axis.name != ARCHITECTURE}
    (names,) = (axis.values for axis in space if axis.name == ARCHITECTURE)
    return [config_of({**least, ARCHITECTURE: name}) for name in names]
