"""One state folder for each process of tests, away from the user's; one thread, the same bits."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments.cli import environment, setup
from experiments.models import frameworks
from experiments.paths import PACKAGE_ENVIRONMENT, state

Disk = Callable[[Path, str], None]

_ENVIRONMENTS = state().environments
_STATE = Path(tempfile.mkdtemp(prefix="cerebro-ds-tests-", dir="/var/tmp"))
_STATE.chmod(0o755)
# Environments of the user's state folder serve: they are made once, and take minutes.
_ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
(_STATE / "environments").symlink_to(_ENVIRONMENTS)
os.environ["CEREBRO_DS_HOME"] = str(_STATE)
os.environ["CEREBRO_DS_ARTIFACTS"] = str(_STATE / "artifacts")
# Docker only where a test asks for it, on machines with an engine and without.
os.environ["CEREBRO_DS_RUNTIME"] = "local"

# Replays in this process must round as the workers do, which inherit the variable.
frameworks.set_threads(1)
os.environ[frameworks.DETERMINISTIC_VARIABLE] = "1"


# Tests that share what takes long to make: the approaches' finished runs, the database.
_TOGETHER = ("contracts", "warehouse")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What stays in one process where several run tests: a file, or a folder that shares more."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        group = folder if folder in _TOGETHER else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_unconfigure() -> None:
    """At the end of every process, whether it ran tests or gave them to others."""
    shutil.rmtree(_STATE)


@pytest.fixture(scope="session")
def state_folder() -> Path:
    """``$CEREBRO_DS_HOME`` of this process, removed at its end."""
    return _STATE


@pytest.fixture(scope="session")
def package_python() -> Path:
    """The Python of cerebro-dl's environment, which is made if need be."""
    home = environment.standard(PACKAGE_ENVIRONMENT)
    setup.add(home, setup.Progress(quiet=True))
    return home.python


@pytest.fixture
def disk() -> Iterator[Disk]:
    """``disk(folder, size)``: mounts a small disk there, or gives the one that is there a size."""
    mounted: list[Path] = []

    def mount(folder: Path, size: str) -> None:
        options = ["-o", f"size={size}"]
        if folder in mounted:
            options[1] += ",remount"
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip(f"cannot mount here: {done.stderr.strip()}")
        mounted.append(folder)

    yield mount
    for folder in set(mounted):
        subprocess.run(["umount", str(folder)], check=True)
