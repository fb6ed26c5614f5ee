"""For tests that need a Docker engine: they are skipped with one line where none answers."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import pytest

from experiments.errors import EnvironmentFault
from experiments.runtime.engine import connect


@functools.cache
def absence() -> str:
    """Why no engine answers, in one line; empty where one does."""
    try:
        connect().close()
    except EnvironmentFault as fault:
        return str(fault)
    return ""


needs_engine = pytest.mark.skipif(bool(absence()), reason=absence() or "an engine answers")
"""Marks a test, or as ``pytestmark`` a module, that is skipped where no engine answers."""


@contextlib.contextmanager
def engine() -> Iterator[Any]:
    """A client, closed at the end."""
    client = connect()
    try:
        yield client
    finally:
        client.close()
