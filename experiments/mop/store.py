"""Model states on disk: one file a version, whole or not there at all.

What is in the bytes is the caller's business; a state that was damaged on disk is found when its
reader checks it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from experiments.errors import DataError
from experiments.files import write_atomically

_STATE = re.compile(r"model-(\d+)\.v(\d+)\.state")
_ASIDE = re.compile(r"\.model-(\d+)\.v(\d+)\.state\.[0-9a-f]+")


class ModelStore:
    """Versions of model states below one folder.

    Version 0 is the initial state; each unit of training reads version v and saves v + 1, so the
    version of a model is the number of its finished units.

    Parameters
    ----------
    root : the folder; made if missing. Other files in it are left alone.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def path(self, model: int, version: int) -> Path:
        """Where a version lies, or would lie."""
        return self.root / f"model-{model:05d}.v{version:07d}.state"

    def save(self, model: int, version: int, state: bytes | memoryview) -> None:
        """Write a version and make it durable before returning.

        A reader, or whoever comes after a crash, finds the whole version (or the whole older file
        of the same version) or none; never a part.

        Raises
        ------
        EnvironmentFault
            The disk is full or the folder cannot be written; nothing is left behind.
        """
        if not len(state):
            raise ValueError(f"model {model}, version {version}: a state cannot be empty")
        write_atomically(self.path(model, version), state)

    def load(self, model: int, version: int) -> bytes:
        """The bytes of a version; :class:`DataError` names the file if it is missing or empty."""
        path = self.path(model, version)
        try:
            state = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        if not state:
            raise DataError(f"{path}: is empty; run again with --fresh")
        return state

    def has(self, model: int, version: int) -> bool:
        """Whether a version is there and not empty."""
        try:
            return self.path(model, version).stat().st_size > 0
        except FileNotFoundError:
            return False

    def latest(self, model: int) -> int | None:
        """The highest version of a model that is there, or None."""
        versions = (version for _, version in self._files(_STATE, model))
        return max(versions, default=None)

    def discard(self, model: int, below: int) -> None:
        """Remove the versions of a model below one, and what interrupted saves up to it left."""
        for path, version in self._files(_STATE, model):
            if version < below:
                path.unlink(missing_ok=True)
        for path, version in self._files(_ASIDE, model):
            if version <= below:
                path.unlink(missing_ok=True)

    def _files(self, pattern: re.Pattern[str], model: int) -> Iterator[tuple[Path, int]]:
        for name in os.listdir(self.root):
            match = pattern.fullmatch(name)
            if match and int(match[1]) == model:
                yield self.root / name, int(match[2])
