"""Artifacts that are made once, and copied for tests that spoil them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from experiments.paths import Artifacts
from experiments.report import crate
from tests.report.artifacts import whole

SOFTWARE = crate.Software("0.1.0", "0123456789ab")


@pytest.fixture(scope="session")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifacts, Path]:
    return whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def artifacts(_whole: tuple[Artifacts, Path], tmp_path: Path) -> Artifacts:
    """A copy with its crate written."""
    shutil.copytree(_whole[0].root, tmp_path / "artifacts")
    copy = Artifacts(tmp_path / "artifacts")
    crate.write(SOFTWARE, copy)
    return copy


@pytest.fixture
def notebooks_at(_whole: tuple[Artifacts, Path]) -> Path:
    """Where the figure's notebook is."""
    return _whole[1]
