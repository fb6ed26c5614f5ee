"""Initial weights that depend on the seed alone: not on framework, process, device or threads.

Keras draws initial weights with the random generator of the framework below it, so one seed means
different weights on TensorFlow and on torch. Here NumPy draws them, following each layer's own
initializer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.models.codec import Floats

_WEIGHTS = (
    ("kernel", "kernel_initializer"),
    ("kernel", "depthwise_initializer"),
    ("depthwise_kernel", "depthwise_initializer"),
    ("pointwise_kernel", "pointwise_initializer"),
    ("bias", "bias_initializer"),
    ("gamma", "gamma_initializer"),
    ("beta", "beta_initializer"),
    ("moving_mean", "moving_mean_initializer"),
    ("moving_variance", "moving_variance_initializer"),
)
_TRUNCATED_NORMAL_STDDEV = 0.87962566103423978  # of a unit normal cut at two standard deviations


def layers(model: Any) -> Iterator[Any]:
    """Every layer of a model that is not itself a container, in the order Keras lists them."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from layers(layer)
        else:
            yield layer


def draw(model: Any, seed: int) -> list[Floats]:
    """Initial weights in ``get_weights()`` order.

    Parameters
    ----------
    model : a built ``keras.Model``.
    seed : any non-negative integer; weight *i* is drawn from the stream ``(seed, i)``.

    Raises
    ------
    TypeError
        A weight belongs to a layer or has an initializer that this module does not know.
    """
    initializers: dict[int, Any] = {}
    for layer in layers(model):
        for weight, initializer in _WEIGHTS:
            variable = getattr(layer, weight, None)
            if variable is not None and hasattr(layer, initializer):
                initializers[id(variable)] = getattr(layer, initializer)
    drawn = []
    for index, variable in enumerate(model.weights):
        if id(variable) not in initializers:
            raise TypeError(f"no rule to initialize {variable.path}")
        generator = np.random.default_rng([seed, index])
        drawn.append(_draw(initializers[id(variable)], tuple(variable.shape), generator))
    return drawn


def _draw(initializer: Any, shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
    import keras

    known = keras.initializers
    if isinstance(initializer, known.Zeros):
        return np.zeros(shape, np.float32)
    if isinstance(initializer, known.Ones):
        return np.ones(shape, np.float32)
    if not isinstance(initializer, known.VarianceScaling):
        raise TypeError(f"no rule to draw from {type(initializer).__name__}")
    scale = initializer.scale / max(1.0, _fan(initializer.mode, shape))
    if initializer.distribution == "uniform":
        return _uniform(shape, scale, generator)
    values = generator.standard_normal(shape, np.float32)
    stddev = math.sqrt(scale)
    if initializer.distribution == "truncated_normal":
        stddev /= _TRUNCATED_NORMAL_STDDEV
        while (outside := np.abs(values) > 2).any():
            values[outside] = generator.standard_normal(int(outside.sum()), np.float32)
    return values * np.float32(stddev)


def glorot_uniform(shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
    """A kernel as Keras' default initializer spreads it (Glorot & Bengio, 2010)."""
    return _uniform(shape, 1.0 / max(1.0, _fan("fan_avg", shape)), generator)


def _uniform(shape: tuple[int, ...], variance: float, generator: np.random.Generator) -> Floats:
    limit = np.float32(math.sqrt(3.0 * variance))
    return (generator.random(shape, np.float32) * 2 - 1) * limit


def _fan(mode: str, shape: tuple[int, ...]) -> float:
    """Inputs or outputs of one unit, as Glorot & Bengio and He et al. count them."""
    field = math.prod(shape[:-2])
    fan_in, fan_out = field * shape[-2], field * shape[-1]
    return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
