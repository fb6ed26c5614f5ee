"""A cluster's folder belongs to one process at a time."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from experiments.errors import EnvironmentFault

LOCK = "lock"
_LOOK_SECONDS = 0.1


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

    def take(self, patience: float = 0.0) -> None:
        """Make the folder this process's own.

        Parameters
        ----------
        patience : seconds to wait for another process that has it.

        Raises
        ------
        EnvironmentFault
            Another process has it; the message says which.
        """
        deadline = time.monotonic() + patience
        # Opened anew each time: whoever had it may have removed the whole folder.
        while not _locked(descriptor := self._open()):
            owner = os.read(descriptor, 20).decode() or "unknown"
            os.close(descriptor)
            if time.monotonic() >= deadline:
                raise EnvironmentFault(
                    f"{self._root} is in use by process {owner}: wait until that has ended, or "
                    "stop it"
                )
            time.sleep(_LOOK_SECONDS)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor

    def _open(self) -> int:
        self._root.mkdir(parents=True, exist_ok=True)
        self._root.chmod(0o755)
        return os.open(self._root / LOCK, os.O_RDWR | os.O_CREAT, 0o600)

    def release(self) -> None:
        """Let go of it; nothing happens if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
