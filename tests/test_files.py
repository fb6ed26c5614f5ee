"""Whole files or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from experiments.errors import EnvironmentFault
from experiments.files import write_atomically


@pytest.mark.parametrize("data", ["text", b"bytes", bytearray(b"array"), memoryview(b"view")])
def test_the_file_holds_what_was_written(
    tmp_path: Path, data: str | bytes | bytearray | memoryview
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old and longer than the new content")
    write_atomically(path, data)
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else bytes(data))
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_: int, __: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(EnvironmentFault, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
