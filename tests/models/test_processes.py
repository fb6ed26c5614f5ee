"""One definition, two frameworks, any process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from experiments.models.session import Session
from experiments.paths import CHECKOUT

Found = Mapping[str, npt.NDArray[Any]]

FRAMEWORKS = ("tensorflow", "torch")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """What a process of each framework finds."""
    folder = tmp_path_factory.mktemp("children")
    script = Path(__file__).with_name("child.py")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    results: dict[str, Found] = {}
    for framework in FRAMEWORKS:
        result = folder / f"{framework}.npz"
        command = [sys.executable, str(script), framework, str(result)]
        subprocess.run(command, check=True, env=environment)
        with np.load(result) as arrays:
            results[framework] = {name: arrays[name] for name in arrays.files}
    return results


@pytest.mark.parametrize("architecture", ["vgg-tiny", "resnet-tiny", "probe"])
def test_initial_states_are_the_same_bytes_everywhere(
    found: dict[str, Found], session: Session, architecture: str
) -> None:
    job = {
        "architecture": architecture,
        "input_shape": [16, 16, 1],
        "classes": 5,
        "batch_size": 4,
        "learning_rate": 1.0,
        "regularization": 0.0,
    }
    here = np.frombuffer(session.initial_state(job, 11), np.uint8)
    for framework in FRAMEWORKS:
        np.testing.assert_array_equal(found[framework][f"{architecture}/start"], here)


@pytest.mark.parametrize("architecture", ["vgg-tiny", "resnet-tiny", "probe"])
def test_both_frameworks_evaluate_alike(found: dict[str, Found], architecture: str) -> None:
    ours, theirs = (found[framework][f"{architecture}/eval"] for framework in FRAMEWORKS)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-4)
    np.testing.assert_array_equal(ours[1:], theirs[1:])


@pytest.mark.parametrize("architecture", ["vgg-tiny", "resnet-tiny"])
def test_one_step_without_dropout_is_alike_on_both(
    found: dict[str, Found], architecture: str
) -> None:
    for kind in ("moments", "weights"):
        ours, theirs = (found[framework][f"{architecture}/{kind}"] for framework in FRAMEWORKS)
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_hop_equals_sequential_sgd_on_both(found: dict[str, Found], framework: str) -> None:
    np.testing.assert_array_equal(found[framework]["hopped"], found[framework]["sequential"])
    assert not np.array_equal(found[framework]["other-mask"], found[framework]["hopped"])
    assert found[framework]["counts"][0] == 3
