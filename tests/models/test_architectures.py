from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.errors import SpecError
from experiments.models import architectures, frameworks, initial

IMAGENET = (112, 112, 3)


@pytest.fixture(autouse=True)
def keras_on_tensorflow() -> None:
    frameworks.start("tensorflow")


@pytest.mark.parametrize(
    ("name", "shape", "classes", "weights"),
    [
        ("vgg16", IMAGENET, 1000, 54_471_464),
        ("resnet50", IMAGENET, 1000, 25_636_712),
        ("mobilenetv2", IMAGENET, 1000, 3_538_984),
        ("confA", (7306,), 2, 7_808_502),
    ],
)
def test_the_papers_models_have_the_known_number_of_weights(
    name: str, shape: tuple[int, ...], classes: int, weights: int
) -> None:
    assert architectures.build(name, shape, classes).count_params() == weights


@pytest.mark.parametrize(("name", "weights"), [("resnet18", 11_689_512), ("resnet34", 21_797_672)])
def test_our_resnets_have_the_trainable_weights_of_the_original(name: str, weights: int) -> None:
    model = architectures.build(name, IMAGENET, 1000)
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == weights


@pytest.mark.parametrize(
    "name", ["vgg-tiny", "vgg-small", "resnet-tiny", "resnet-small", "mlp-tiny", "probe", "confA"]
)
def test_small_models_take_small_images_and_give_logits(name: str) -> None:
    model = architectures.build(name, (28, 28, 1), 10)
    assert model.output_shape == (None, 10)
    assert model.layers[-1].activation.__name__ == "linear"
    assert model.count_params() < 2_000_000


def test_the_last_layer_of_an_application_gives_logits() -> None:
    model = architectures.build("mobilenetv2", (32, 32, 3), 10)
    assert model.layers[-1].activation.__name__ == "linear"


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("resnet-50", "resnet50"), ("VGG16", "vgg16"), ("confa", "confA")]
)
def test_an_unknown_name_gets_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(SpecError, match=f"did you mean '{nearest}'"):
        architectures.build(wrong, IMAGENET, 1000)


def test_rows_that_do_not_fit_are_a_users_error() -> None:
    with pytest.raises(SpecError, match="vgg16 cannot take rows of shape 28x28x1"):
        architectures.build("vgg16", (28, 28, 1), 10)


@pytest.mark.parametrize("name", ["resnet-tiny", "vgg-tiny", "mobilenetv2"])
def test_initial_weights_spread_as_each_layers_initializer_says(name: str) -> None:
    model = architectures.build(name, (32, 32, 3), 10)
    for variable, drawn in zip(model.weights, initial.draw(model, 5), strict=True):
        expected = np.asarray(variable)  # Keras' own draw from the same initializer
        assert drawn.shape == expected.shape
        assert drawn.dtype == np.float32
        if drawn.size > 500:
            assert drawn.std() == pytest.approx(expected.std(), rel=0.15)
            assert np.abs(drawn).max() == pytest.approx(np.abs(expected).max(), rel=0.15)
        elif len(drawn.shape) == 1:
            np.testing.assert_array_equal(drawn, expected)


def test_weights_of_another_seed_or_place_differ() -> None:
    model = architectures.build("mlp-tiny", (64,), 64)
    first, second = initial.draw(model, 1), initial.draw(model, 2)
    assert (first[0] != second[0]).mean() > 0.99
    assert (first[0] != first[2]).mean() > 0.99
