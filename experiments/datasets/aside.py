"""Folders that appear whole or not at all, and of which a kill loses no finished part.

A folder is filled under a hidden name next to its final one and then renamed. While it is being
filled its maker holds a lock on it, which ends with the process: whoever else wants the folder
waits, and goes on from what is there if the maker was killed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.errors import EnvironmentFault

ABANDONED_SECONDS = 7 * 24 * 3600
"""After which what a killed process left, and nobody asked for again, is removed."""


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, each readable by everyone whatever the umask."""
    for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
        with contextlib.suppress(FileExistsError):  # another process made it meanwhile
            missing.mkdir()
            missing.chmod(0o755)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """fsync a folder, so that the names in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def aside(final: Path) -> Iterator[Path | None]:
    """The folder in which ``final`` is being made; None if ``final`` is there by now.

    It may hold what an earlier maker left: the caller must be able to tell what of it is whole. It
    stays behind if the caller fails after something was put into it.

    Raises
    ------
    EnvironmentFault
        The file system has no locks.
    """
    folder = _aside_name(final)
    while not _is_made(final):
        make_folder(folder)
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # published between two lines
            continue
        try:
            _lock(lock, folder)
            if _is_open_at(lock, folder):  # it was not renamed while we waited
                if _is_made(final):  # published before we made the folder anew
                    folder.rmdir()
                    continue
                try:
                    yield folder
                finally:
                    if folder.exists() and not any(folder.iterdir()):
                        folder.rmdir()
                return
        finally:
            os.close(lock)
    yield None


def publish(folder: Path, final: Path) -> None:
    """Give a filled folder its final name."""
    sync_folder(folder)
    folder.rename(final)
    sync_folder(final.parent)


def sweep(parent: Path) -> None:
    """Remove what was left half made long ago; what cannot be removed stays."""
    for folder in parent.glob(_aside_name(parent / "*").name):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < ABANDONED_SECONDS:
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _is_made(final: Path) -> bool:
    """An empty folder is a name that was given beforehand."""
    return final.exists() and any(final.iterdir())


def _aside_name(final: Path) -> Path:
    return final.with_name(f".{final.name}.making")


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        raise EnvironmentFault(
            f"the file system of {folder.parent} has no locks ({error.strerror}); set "
            "CEREBRO_DS_HOME to a folder on another"
        ) from None


def _is_open_at(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False
