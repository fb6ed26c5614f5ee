"""VGG-style networks (Simonyan & Zisserman, arXiv:1409.1556) cut to a few thousand weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def vgg(
    input_shape: Sequence[int],
    classes: int,
    *,
    blocks: Sequence[tuple[int, int]],
    dense: Sequence[int],
) -> Any:
    """Blocks of 3x3 convolutions, each ended by a 2x2 max-pooling, then dense layers.

    Parameters
    ----------
    input_shape : (height, width, channels).
    classes : width of the logits.
    blocks : for each block, its number of convolutions and their filters.
    dense : widths of the hidden dense layers.
    """
    import keras

    x = inputs = keras.Input(tuple(input_shape))
    for convolutions, filters in blocks:
        for _ in range(convolutions):
            x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Flatten()(x)
    for width in dense:
        x = keras.layers.Dense(width, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x))
