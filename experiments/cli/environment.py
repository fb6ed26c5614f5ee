"""The locked environments: where they are, and are they there and whole.

Standard library only and free of syntax newer than Python 3.8: ``reproduce.py`` runs this before
the environment stands, whatever ``python3`` started it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from experiments.cli import machine
from experiments.paths import COMPLETE, LOCKS, MAIN_ENVIRONMENT, State, lock_digest, state_root

FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
"""Settings of the caller's that would lead Python or pip out of the environment."""


def locked(text: str) -> set[str]:
    """The canonical names of the packages in the text of a lock."""
    return set(re.findall(r"(?m)^([a-z0-9-]+)==", text))


class Environment:
    """The virtual environment of some locks, below the state folder.

    It is usable when ``complete.json``, written last, agrees with what is there.

    Parameters
    ----------
    name : one of :data:`experiments.paths.LOCKS`.
    """

    def __init__(self, state: Path, name: str = MAIN_ENVIRONMENT) -> None:
        self.title = "environment" if name == MAIN_ENVIRONMENT else f"environment of {name}"
        self.digest = lock_digest(name)
        self.locks = LOCKS[name]
        self.state = state
        # Programs in it name it by this path for good, whatever links led here.
        self.root = State(state).environment(name).resolve()
        self.python = self.root / "bin" / "python"
        self.mark = self.root / COMPLETE
        self.log = self.root.parent / (self.root.name + ".log")
        self.scratch = self.root.parent / (self.root.name + ".tmp")
        self.lock = self.root.parent / (self.root.name + ".lock")
        self.site = self.root / "lib" / f"python{machine.PYTHON}" / "site-packages"

    def entries(self) -> int:
        """How many files and folders lie in ``site-packages``."""
        return len({*os.listdir(str(self.site))} - {"__pycache__"})

    def versions(self) -> dict[str, str]:
        """``{package: version}`` of what is installed."""
        names = (folder.name[: -len(".dist-info")] for folder in self.site.glob("*.dist-info"))
        return dict(sorted(name.rsplit("-", 1) for name in names))

    def problem(self) -> str:
        """Why it cannot be used as it is; empty when it can."""
        if not self.root.exists():
            return "not made yet"
        try:
            mark = dict(json.loads(self.mark.read_text(encoding="utf-8")))
            entries = self.entries()
        except (OSError, ValueError, TypeError):
            return "half made"
        if not os.access(str(self.python), os.X_OK):
            return "its Python is missing"
        if mark.get("lock") != self.digest or mark.get("entries") != entries:
            return "changed after it was made"
        return ""

    def stands(self) -> bool:
        """Can it be used as it is?"""
        return not self.problem()

    def finish(self) -> None:
        """Write the marker, aside and then renamed."""
        mark = {
            "lock": self.digest,
            "interpreter": str(self.python.resolve()),
            "entries": self.entries(),
            "versions": self.versions(),
        }
        aside = self.mark.with_suffix(".tmp")
        with aside.open("w", encoding="utf-8") as file:
            json.dump(mark, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.mark)


def standard(name: str = MAIN_ENVIRONMENT) -> Environment:
    """An environment of this checkout's locks in this user's state folder."""
    return Environment(state_root().absolute(), name)


def own_settings() -> dict[str, str]:
    """The caller's variables less those that lead out of the environment."""
    return {key: value for key, value in os.environ.items() if key not in FOREIGN}
