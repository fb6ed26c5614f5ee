"""Doors to start: a fresh one for each test, and one that stands already for tests that look on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.door.tiny_door import Door, build


@pytest.fixture
def door() -> Iterator[Door]:
    """A door that was never opened."""
    with tempfile.TemporaryDirectory(prefix="door-") as folder:
        yield build(Path(folder))


@pytest.fixture(scope="module")
def standing() -> Iterator[Door]:
    """A door whose environment stands; tests leave it as it is."""
    with tempfile.TemporaryDirectory(prefix="door-") as folder:
        made = build(Path(folder))
        assert made.start("--list").returncode == 0
        yield made
