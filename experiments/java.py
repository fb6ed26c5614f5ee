"""The Java that Spark runs on: where it is, and whether Spark can use it.

Standard library only and free of syntax newer than Python 3.8: ``reproduce.py`` asks before the
environment stands, whatever ``python3`` started it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from experiments.errors import EnvironmentFault

VERSIONS = (17, 21)
PACKAGE = "openjdk-17-jre-headless"
INSTALLED = Path("/usr/lib/jvm")
VARIABLE = "JAVA_HOME"
INSTALL = f"sudo apt-get install --no-install-recommends {PACKAGE}"


def home() -> Path:
    """The folder of the Java to run: ``$JAVA_HOME`` if set, else the first that fits.

    Looked for on ``PATH`` and then among the system's.

    Raises
    ------
    EnvironmentFault
        There is none, or ``$JAVA_HOME`` is not one that Spark can use.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        found = version(Path(chosen))
        if found in VERSIONS:
            return Path(chosen)
        what = f"is Java {found}" if found else "holds no Java"
        raise EnvironmentFault(
            f"Spark needs Java 17 or 21, and {VARIABLE}={chosen} {what}: set it to the folder of "
            f"one, or unset it and install one with: {INSTALL}"
        )
    seen = []
    for folder in _folders():
        found = version(folder)
        if found in VERSIONS:
            return folder
        if found:
            seen.append(f"Java {found} in {folder}")
    there = f"there is only {', '.join(seen)}" if seen else "there is none"
    raise EnvironmentFault(f"Spark needs Java 17 or 21, and {there}: install one with: {INSTALL}")


def lacking() -> bool:
    """Whether installing :data:`PACKAGE` is what helps. Takes microseconds."""
    if os.environ.get(VARIABLE):
        return False
    try:
        home()
    except EnvironmentFault:
        return True
    return False


def version(folder: Path) -> int:
    """The major version of the Java in a folder, read from its ``release`` file; 0 if none."""
    java = folder / "bin" / "java"
    if not os.access(str(java), os.X_OK):
        return 0
    try:
        # A folder such as /usr has links only.
        text = (java.resolve().parent.parent / "release").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)
    return int(found.group(1)) if found else 0


def _folders() -> Iterator[Path]:
    command = shutil.which("java")
    if command:
        yield Path(command).resolve().parent.parent
    if INSTALLED.is_dir():
        yield from sorted(INSTALLED.iterdir())
