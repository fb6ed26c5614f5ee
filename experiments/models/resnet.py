"""Residual networks of the first version (He et al., arXiv:1512.03385).

ResNet-18 and ResNet-34, which ``keras.applications`` lacks, and small bottleneck members of the
ResNet-50 family.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BATCH_NORM_MOMENTUM = 0.9  # moving averages must settle within the few batches of a small scale


def resnet(
    input_shape: Sequence[int],
    classes: int,
    *,
    stages: Sequence[tuple[int, int]],
    bottleneck: bool,
    stem: tuple[int, int, int],
    pooled_stem: bool,
) -> Any:
    """A stem, stages of residual blocks, global average pooling, logits.

    Parameters
    ----------
    input_shape : (height, width, channels).
    classes : width of the logits.
    stages : for each stage, its number of blocks and their filters. Every stage but the first
        halves height and width.
    bottleneck : 1x1, 3x3, 1x1 blocks that widen to four times their filters (ResNet-50 and
        deeper), or two 3x3 convolutions (ResNet-18 and 34).
    stem : filters, kernel size and stride of the first convolution.
    pooled_stem : whether a 3x3 max-pooling of stride 2 follows the stem.
    """
    import keras

    block = _bottleneck if bottleneck else _basic
    inputs = keras.Input(tuple(input_shape))
    filters, kernel, stride = stem
    x = _relu(_convolve(inputs, filters, kernel, stride))
    if pooled_stem:
        x = keras.layers.ZeroPadding2D(1)(x)
        x = keras.layers.MaxPooling2D(3, strides=2)(x)
    for stage, (blocks, filters) in enumerate(stages):
        for index in range(blocks):
            x = block(x, filters, 2 if stage > 0 and index == 0 else 1)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


def _basic(x: Any, filters: int, stride: int) -> Any:
    shortcut = _shortcut(x, filters, stride)
    x = _relu(_convolve(x, filters, 3, stride))
    return _join(shortcut, _convolve(x, filters, 3))


def _bottleneck(x: Any, filters: int, stride: int) -> Any:
    shortcut = _shortcut(x, 4 * filters, stride)
    x = _relu(_convolve(x, filters, 1, stride))
    x = _relu(_convolve(x, filters, 3))
    return _join(shortcut, _convolve(x, 4 * filters, 1))


def _shortcut(x: Any, filters: int, stride: int) -> Any:
    if stride == 1 and x.shape[-1] == filters:
        return x
    return _convolve(x, filters, 1, stride)


def _join(shortcut: Any, x: Any) -> Any:
    import keras

    return _relu(keras.layers.Add()([shortcut, x]))


def _relu(x: Any) -> Any:
    import keras

    return keras.layers.Activation("relu")(x)


def _convolve(x: Any, filters: int, kernel: int, stride: int = 1) -> Any:
    """Convolution without bias, padded by hand as in the paper's code, and batch normalization."""
    import keras

    padding = "same"
    if stride > 1 and kernel > 1:
        x = keras.layers.ZeroPadding2D(kernel // 2)(x)
        padding = "valid"
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    return keras.layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=1e-5)(x)
