"""A cluster's folder belongs to one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from experiments.errors import EnvironmentFault

LOCK = "lock"


class FolderLock:
    """Held from :meth:`take` until :meth:`release` or the end of this process.

    Parameters
    ----------
    root : the folder; made when the lock is taken.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def take(self) -> None:
        """Make the folder this process's own.

        Raises
        ------
        EnvironmentFault
            Another process has it; the message says which.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        self._root.chmod(0o755)
        descriptor = os.open(self._root / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 20).decode() or "unknown"
            os.close(descriptor)
            raise EnvironmentFault(
                f"{self._root} is in use by process {owner}: wait until that has ended, or stop it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of it; nothing happens if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
