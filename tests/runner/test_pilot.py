"""The pilot: a small model is really trained here, and an emulated run can then wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.models.pilot import line
from experiments.paths import state
from experiments.runner import pilot
from experiments.specs import devices
from experiments.specs.load import run_spec
from experiments.specs.model import DatasetSpec, ModelConfig


@pytest.fixture
def measured() -> Iterator[Path]:
    spec = replace(
        run_spec("breakdown", "ctq", "smoke"),
        dataset=DatasetSpec("blobs", 200, 60),
        configs=(ModelConfig("mlp-tiny", 1e-3, 0.0, 16),),
    )
    yield pilot.measure([spec])
    state().pilot.unlink()


def test_this_machine_becomes_a_device(measured: Path) -> None:
    found = devices.device("this", "blobs")
    assert set(found.rows) == {"mlp-tiny"}
    row = found.rows["mlp-tiny"]
    assert row.weights == row.trainable == 64 * 64 + 64 + 64 * 4 + 4
    assert row.train_row + row.train_batch > 0
    assert row.valid_row + row.valid_batch > 0
    assert row.start > 0 < row.transfer
    assert found.network_bytes_per_second > 0
    emulated = devices.emulation("this", {"mlp-tiny": 16}, dataset="blobs")
    assert emulated.models["mlp-tiny"].unit_seconds("train", 100, 16) > 0


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [((3.0, 7.0), (1.0, 1.0)), ((5.0, 4.0), (0.0, 4.5)), ((1.0, 6.0), (1.0, 0.0))],
)
def test_times_are_never_less_than_nothing(
    seconds: tuple[float, float], expected: tuple[float, float]
) -> None:
    assert line((2, 6), seconds) == pytest.approx(expected)
