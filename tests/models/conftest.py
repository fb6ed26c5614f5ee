"""Small jobs and data for sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from experiments.models.session import Session

Data = tuple[npt.NDArray[np.float32], npt.NDArray[np.int16]]

SHAPE = (12, 12, 1)
CLASSES = 7


@pytest.fixture(scope="session")
def make_job() -> Callable[..., dict[str, Any]]:
    """Makes a job for the probe on 12x12 images; keywords replace its fields."""

    def make(**changes: Any) -> dict[str, Any]:
        job = {
            "architecture": "probe",
            "input_shape": list(SHAPE),
            "classes": CLASSES,
            "batch_size": 16,
            "learning_rate": 1e-2,
            "regularization": 1e-3,
        }
        return {**job, **changes}

    return make


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., Data]:
    """Makes rows with one-hot labels from a seed."""

    def make(
        count: int, seed: int = 0, shape: tuple[int, ...] = SHAPE, classes: int = CLASSES
    ) -> Data:
        generator = np.random.default_rng(seed)
        x = generator.standard_normal((count, *shape), np.float32)
        y = np.eye(classes, dtype=np.int16)[generator.integers(0, classes, count)]
        return x, y

    return make


@pytest.fixture(scope="session")
def session(make_job: Callable[..., dict[str, Any]]) -> Session:
    """A session in which the probe is warm. Every test loads its own state."""
    made = Session(buffers=0)
    made.warm(make_job())
    return made
