"""Our architectures as Keras 2 models for cerebro-dl, and what it trained as our states.

Runs in the package's own environment. The same definitions as everywhere build the models: they
use nothing that Keras 2 lacks, list their weights in the same order, and so start from the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.models import architectures, codec, initial, steps

FEATURES, LABELS = "features", "labels"
"""Columns of the data; the package takes a model's input by the name of its column."""


def build(model: Mapping[str, Any], seed: int) -> Any:
    """A ``tf.keras.Model`` with initial weights and the L2 term of a job's ``model``.

    Keras applies a regularizer that a layer was given later only once the model is made again from
    its configuration.
    """
    import keras

    plain = architectures.build(model["architecture"], model["input_shape"], model["classes"])
    for layer in initial.layers(plain):
        for name in ("kernel_regularizer", "bias_regularizer"):
            if hasattr(layer, name):
                setattr(layer, name, keras.regularizers.L2(model["regularization"]))
    described = plain.to_json().replace(f'"{plain.input_names[0]}"', f'"{FEATURES}"')
    regularized = keras.models.model_from_json(described)
    regularized.set_weights(initial.draw(plain, seed))
    return regularized


def optimizer(model: Mapping[str, Any]) -> Any:
    """Adam with a job's learning rate, as everywhere; of the legacy kind that the package needs."""
    import tensorflow as tf

    return tf.keras.optimizers.legacy.Adam(
        learning_rate=model["learning_rate"],
        beta_1=steps.BETA_1,
        beta_2=steps.BETA_2,
        epsilon=steps.EPSILON,
    )


def state_of(model: Any) -> bytes:
    """A compiled model's weights and optimizer as a state of ours."""
    step, *moments = model.optimizer.get_weights() or [0]
    return codec.encode(model.get_weights(), moments, int(step), steps.layout_of(model))
