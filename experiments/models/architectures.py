"""The registry of architectures: a name, an input shape and a number of classes give a model.

The paper's names are built with ``keras.applications`` where it has them; the
``-tiny`` and ``-small`` members of the same families serve 28x28 images at small scales. Every
model gives logits, is channels-last, and starts from random weights that
:func:`experiments.models.initial.draw` replaces. ``linear`` is trained by NumPy; what is built for
it here is the same model for the frameworks that are compared with that.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from experiments.errors import SpecError
from experiments.models.dense import mlp, probe
from experiments.models.resnet import resnet
from experiments.models.vgg import vgg

Builder = Callable[[Sequence[int], int], Any]


def _application(name: str) -> Builder:
    def build_application(input_shape: Sequence[int], classes: int) -> Any:
        import keras

        return getattr(keras.applications, name)(
            weights=None,
            input_shape=tuple(input_shape),
            classes=classes,
            classifier_activation=None,
        )

    return build_application


_BUILDERS: dict[str, Builder] = {
    "vgg16": _application("VGG16"),
    "resnet50": _application("ResNet50"),
    "resnet152": _application("ResNet152"),
    "mobilenetv2": _application("MobileNetV2"),
    "nasnetmobile": _application("NASNetMobile"),
    "resnet18": partial(
        resnet,
        stages=((2, 64), (2, 128), (2, 256), (2, 512)),
        bottleneck=False,
        stem=(64, 7, 2),
        pooled_stem=True,
    ),
    "resnet34": partial(
        resnet,
        stages=((3, 64), (4, 128), (6, 256), (3, 512)),
        bottleneck=False,
        stem=(64, 7, 2),
        pooled_stem=True,
    ),
    "confA": partial(mlp, widths=(1000, 500)),
    "vgg-tiny": partial(vgg, blocks=((1, 8), (1, 16), (2, 32)), dense=(64,)),
    "vgg-small": partial(vgg, blocks=((2, 16), (2, 32), (2, 64)), dense=(128,)),
    "resnet-tiny": partial(
        resnet,
        stages=((1, 8), (1, 16), (1, 32)),
        bottleneck=True,
        stem=(16, 3, 2),
        pooled_stem=False,
    ),
    "resnet-small": partial(
        resnet,
        stages=((2, 16), (2, 32), (2, 64)),
        bottleneck=True,
        stem=(32, 3, 2),
        pooled_stem=False,
    ),
    "resnet18-tiny": partial(
        resnet, stages=((1, 8), (1, 16)), bottleneck=False, stem=(8, 3, 2), pooled_stem=False
    ),
    "resnet34-tiny": partial(
        resnet, stages=((1, 8), (2, 16)), bottleneck=False, stem=(8, 3, 2), pooled_stem=False
    ),
    "confA-tiny": partial(mlp, widths=(64, 32)),
    "confA-small": partial(mlp, widths=(250, 125)),
    "mlp-tiny": partial(mlp, widths=(64,)),
    "probe": probe,
    "linear": partial(mlp, widths=()),
}

_BOUND = {"linear": "numpy"}
"""Architectures that one framework alone trains, whatever the others run on."""


def names() -> tuple[str, ...]:
    """Every architecture that :func:`build` knows."""
    return tuple(_BUILDERS)


def check(name: str) -> None:
    """Raise :class:`SpecError` naming the nearest architecture if there is none of this name."""
    if name not in _BUILDERS:
        near = difflib.get_close_matches(name.lower(), _BUILDERS, n=1, cutoff=0.0)[0]
        raise SpecError(f"no architecture {name!r}; did you mean {near!r}?")


def framework_of(name: str, default: str) -> str:
    """The framework that trains an architecture; :class:`SpecError` if there is none."""
    check(name)
    return _BOUND.get(name, default)


def build(name: str, input_shape: Sequence[int], classes: int) -> Any:
    """A ``keras.Model`` from rows of ``input_shape`` to ``classes`` logits.

    Keras must have been started (:func:`experiments.models.frameworks.start`).

    Raises
    ------
    SpecError
        No such architecture, or it cannot take rows of this shape.
    """
    check(name)
    try:
        return _BUILDERS[name](input_shape, classes)
    except ValueError as error:
        shape = "x".join(str(size) for size in input_shape)
        raise SpecError(f"{name} cannot take rows of shape {shape}: {error}") from error
