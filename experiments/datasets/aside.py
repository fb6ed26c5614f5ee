"""Folders that appear whole or not at all.

A folder is filled under a hidden name next to its final one and then renamed. While it is being
filled its maker holds a lock on it, which ends with the process: so a leftover can be told from
a folder in the making even when process numbers are used again or belong to another container.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LEFTOVER = re.compile(r"\..+\.(?P<pid>\d+)\.[^.]+\.making")


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, each readable by everyone whatever the umask."""
    for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
        with contextlib.suppress(FileExistsError):  # another process made it meanwhile
            missing.mkdir()
            missing.chmod(0o755)


def sync_folder(folder: Path) -> None:
    """fsync a folder, so that the names in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def aside(final: Path) -> Iterator[Path]:
    """A new empty folder on the file system of ``final``; gone afterwards unless published."""
    folder, lock = _locked(final)
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(final: Path) -> tuple[Path, int]:
    while True:
        prefix = f".{final.name}.{os.getpid()}."
        folder = Path(tempfile.mkdtemp(".making", prefix, final.parent))
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            with contextlib.suppress(OSError):  # not every file system has locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():  # a sweep may have come between making and locking
                return folder, lock
            os.close(lock)


def publish(folder: Path, final: Path) -> bool:
    """Give a filled folder its final name; False if another process was first."""
    try:
        folder.rename(final)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    sync_folder(final.parent)
    return True


def sweep(parent: Path) -> None:
    """Remove what killed processes left half made; what cannot be removed stays."""
    for folder in parent.glob(".*.making"):
        name = _LEFTOVER.fullmatch(folder.name)
        if name is None or _is_other_live_process(int(name["pid"])):
            continue
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                if _try_lock(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _try_lock(descriptor: int) -> bool:
    """Lock, unless another holds it. File systems without locks count as locked by us."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_other_live_process(pid: int) -> bool:
    # A container's first process has the same number every time: our own number proves nothing.
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
