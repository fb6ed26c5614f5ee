"""What a search may say, and that every run carries it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from experiments.errors import SpecError
from experiments.specs import load
from experiments.specs.model import RunSpec
from experiments.specs.search import Axis, SearchSpec

SETTINGS = {
    "algorithm": "tpe",
    "trials": 4,
    "concurrency": 2,
    "batches": True,
    "startup": 2,
    "reduction": 3,
    "least_epochs": 1,
}
SPACE = {
    "architecture": {"choice": ["resnet18", "resnet34"]},
    "learning_rate": {"loguniform": [1e-5, 1e-1]},
    "regularization": {"choice": [0, 1e-4]},
    "batch_size": {"integers": [16, 256]},
}


def read(settings: dict[str, Any] | None = None, space: dict[str, Any] | None = None) -> SearchSpec:
    return SearchSpec.from_table(
        "experiments.toml: x",
        {key: v for key, v in (SETTINGS | (settings or {})).items() if v is not None},
        {key: v for key, v in (SPACE | (space or {})).items() if v is not None},
        {"resnet18": "resnet18-tiny", "resnet34": "resnet18-tiny"},
    )


def test_a_space_is_read_with_what_stands_in_for_its_architectures() -> None:
    assert read().space == (
        Axis("architecture", "choice", ("resnet18-tiny",)),
        Axis("learning_rate", "loguniform", (1e-5, 1e-1)),
        Axis("regularization", "choice", (0.0, 1e-4)),
        Axis("batch_size", "integers", (16, 256)),
    )


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"momentum": {"choice": [0.9]}}, "x.space: unknown hyperparameter 'momentum': there are"),
        ({"learning_rat": {"choice": [1]}}, "did you mean 'learning_rate'?"),
        ({"batch_size": None}, "x.space.batch_size is missing: a choice of one value holds it"),
        ({"batch_size": {"normal": [1, 2]}}, "x.space.batch_size: unknown kind 'normal'"),
        ({"batch_size": {"integers": [16.5, 32]}}, "16.5 is no batch size"),
        ({"batch_size": {"choice": [0]}}, "0 is no batch size"),
        ({"batch_size": {"uniform": [1, 2]}}, "batch_size cannot be of this kind"),
        ({"learning_rate": {"integers": [1, 2]}}, "learning_rate cannot be of this kind"),
        ({"learning_rate": {"loguniform": [1e-1, 1e-5]}}, "the lowest and the highest value"),
        ({"learning_rate": {"loguniform": [0, 1]}}, "the lowest value must be more than 0"),
        ({"learning_rate": {"choice": ["a"]}}, "'a' is no learning rate"),
        ({"learning_rate": {"choice": [float("nan")]}}, "nan is no learning rate"),
        ({"architecture": {"choice": []}}, "a list of values that is not empty"),
        ({"architecture": ["vgg16"]}, "one of choice, integers, uniform, loguniform"),
    ],
)
def test_a_space_that_cannot_be_is_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as error:
        read(space=space)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(SpecError, match=r"x\.space is empty: give it architecture, learning_rate"):
        SearchSpec.from_table("experiments.toml: x", SETTINGS, {}, {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trial": 3}, "x.search: unknown setting 'trial': did you mean 'trials'?"),
        ({"trials": 0}, "x.search.trials = 0: a whole number, at least 1"),
        ({"concurrency": True}, "x.search.concurrency = True: a whole number"),
        ({"reduction": 1}, "x.search.reduction = 1: a whole number, at least 2"),
        ({"startup": None}, "x.search.startup is missing"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as error:
        read(settings)
    assert message in str(error.value)


@pytest.mark.parametrize("scale", load.SCALES)
def test_the_searches_of_the_matrix_survive_json(scale: str) -> None:
    spec = load.run_spec("search", "ctq", scale)
    assert spec.configs == ()
    assert RunSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_the_papers_search_is_the_papers() -> None:
    spec = load.run_spec("search", "ctq", "paper").search
    assert spec is not None
    assert (spec.algorithm, spec.trials, spec.concurrency, spec.batches) == ("tpe", 32, 8, True)
    assert [axis.values for axis in spec.space] == [
        ("resnet18", "resnet34"),
        (1e-5, 1e-1),
        (1e-4, 1e-6),
        (16, 256),
    ]


def test_another_searcher_can_be_chosen() -> None:
    spec = load.run_spec("search", "ctq", "smoke", searcher="asha").search
    assert spec is not None
    assert spec.algorithm == "asha"
