"""Multilayer perceptrons, and the probe that the tests of hopping train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def mlp(input_shape: Sequence[int], classes: int, *, widths: Sequence[int]) -> Any:
    """Dense layers with ReLU on the flattened row, then logits."""
    import keras

    inputs = keras.Input(tuple(input_shape))
    x = keras.layers.Flatten()(inputs) if len(input_shape) > 1 else inputs
    for width in widths:
        x = keras.layers.Dense(width, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


def probe(input_shape: Sequence[int], classes: int) -> Any:
    """A tiny network with everything that a hop can lose: batch normalization and dropout.

    Takes images (height, width, channels) or flat rows.
    """
    import keras

    x = inputs = keras.Input(tuple(input_shape))
    if len(input_shape) == 3:
        x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(16)(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.Activation("relu")(x)
    # Keras on torch draws from the layer's own generator only if the layer names a seed.
    x = keras.layers.Dropout(0.25, seed=0)(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x))
