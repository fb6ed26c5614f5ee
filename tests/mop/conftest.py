from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def no_fsync(request: pytest.FixtureRequest) -> Iterator[None]:
    """Durability is tested where it matters; thousands of fake journals do not need it."""
    if request.module.__name__.endswith("test_store"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield
