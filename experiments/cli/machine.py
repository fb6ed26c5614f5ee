"""Facts about this machine that the door and the doctor both ask for.

Standard library only and free of syntax newer than Python 3.8: ``reproduce.py`` imports this
before the environment stands, whatever ``python3`` started it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from experiments import java

PYTHON = "3.11"
"""The Python whose wheels the locks name; PL/Python must be linked to the same one."""
PLPYTHON = Path("/usr/lib/postgresql/15/lib/plpython3.so")
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
APT = Path("/usr/bin/apt-get")
BROWSER = ("chromium", "chromium-driver")
"""Debian packages with which tests look at the report's page; nothing else needs them."""
DISK_BYTES = 8 * 10**9
BESIDE_BYTES = 4 * 10**9
"""Of an environment beside the main one, while it is made."""
ELSEWHERE = "run the bundle in Docker instead, on a Debian 12 image for x86-64"


def platform_problem() -> str:
    """Why the local runtime cannot work on this kind of machine; empty when it can."""
    system = os.uname()
    if system.sysname != "Linux" or system.machine != "x86_64":
        return f"{system.sysname} on {system.machine} is not Debian 12 or its kin on x86-64"
    release = os_release()
    kin = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    if "debian" not in kin or not APT.exists():
        return f"{release.get('PRETTY_NAME', 'this Linux')} is not Debian 12 or its kin"
    return ""


def os_release(file: Path = Path("/etc/os-release")) -> dict[str, str]:
    """The settings of ``os-release``; empty where there is none."""
    try:
        rows = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (row.partition("=") for row in rows if "=" in row)
    return {key.strip(): value.strip().strip("'\"") for key, _, value in pairs}


def plpython_version(library: Path = PLPYTHON) -> str:
    """The Python, such as ``3.11``, that PL/Python is linked to; empty when it is not installed."""
    try:
        linked = re.search(rb"libpython(3\.\d+)\.so", library.read_bytes())
    except OSError:
        return ""
    return linked.group(1).decode() if linked else ""


def missing_packages() -> list[str]:
    """The Debian packages that every run needs and this machine lacks."""
    needed = ["postgresql-15", "postgresql-plpython3-15"]
    needed += [f"python{plpython_version() or PYTHON}-venv", "dataset-fashion-mnist"]
    return lacking(needed)


def lacking(needed: Sequence[str]) -> list[str]:
    """Those of some Debian packages that are not installed."""
    import subprocess

    try:
        answer = subprocess.run(
            ["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *needed],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        ).stdout.decode()
    except OSError:
        answer = ""
    return [name for name in needed if f"{name} installed" not in answer.splitlines()]


def wanted_packages() -> list[str]:
    """The Debian packages to install before anything runs.

    Java, which only Spark needs, is installed where we may; others are told when a run needs it.
    """
    missing = missing_packages()
    if java.lacking() and (missing or os.geteuid() == 0):
        missing.append(java.PACKAGE)
    return missing


def packages_seen() -> bool:
    """Do the files that those packages bring seem to be there? Takes microseconds."""
    spark = os.geteuid() != 0 or not java.lacking()
    return PLPYTHON.exists() and FASHION_MNIST.exists() and spark


def apt_line(packages: Sequence[str]) -> str:
    """The one line that installs `packages`."""
    return "sudo apt-get install --no-install-recommends " + " ".join(packages)


def free_bytes(folder: Path) -> int:
    """Free bytes where `folder` is or will be."""
    while not folder.exists():
        folder = folder.parent
    room = os.statvfs(str(folder))
    return room.f_bavail * room.f_frsize


def closed_to_others(folder: Path) -> str:
    """The first existing folder on the way to `folder` that others may not enter; or empty."""
    for step in [*reversed(folder.parents), folder]:
        if step.is_dir() and not step.stat().st_mode & 0o001:
            return str(step)
    return ""


def folder_problem(folder: Path, variable: str) -> str:
    """Why `folder`, which `variable` chooses, cannot be made or written; empty when it can.

    Makes it.
    """
    mend = f"mend that, or set {variable} to a folder of yours"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{folder}: cannot be made ({error.strerror}); {mend}"
    if not os.access(str(folder), os.W_OK | os.X_OK):
        return f"{folder}: cannot be written by this user; {mend}"
    return ""


def closed_problem(folder: Path, variable: str) -> str:
    """Why root's servers may not enter the state folder; empty when they may."""
    closed = closed_to_others(folder) if os.geteuid() == 0 else ""
    if not closed:
        return ""
    return (
        f"the servers' user may not enter {closed}, where the state folder {folder} is: "
        f"chmod o+x {closed}, or set {variable} to a folder elsewhere"
    )
