"""Whole files or none: write aside, fsync, rename."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from experiments.errors import EnvironmentFault


def write_atomically(
    path: Path, data: bytes | bytearray | memoryview | str, mode: int = 0o644
) -> None:
    """Replace ``path`` by ``data`` so that no reader and no crash ever sees a part of it.

    The aside name is hidden and nobody can guess it, so nobody can have put a link there. The
    file's content is on disk before its name is.

    Raises
    ------
    EnvironmentFault
        The disk is full or the folder cannot be written; the old file is as it was.
    """
    try:
        _replace(path, data, mode)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> EnvironmentFault:
    """The user's error for a file that cannot be written: names file, folder and the way on."""
    return EnvironmentFault(
        f"{path}: cannot be saved ({error.strerror}); mend or empty {path.parent}, then give the "
        "same command again: it goes on where it stopped"
    )


def _replace(path: Path, data: bytes | bytearray | memoryview | str, mode: int) -> None:
    if isinstance(data, str):
        data = data.encode()
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
