"""What is refused before anything starts, for all runs at once: folders, data, memory, disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from experiments import datasets
from experiments.cli import machine
from experiments.errors import EnvironmentFault
from experiments.paths import ARTIFACTS_VARIABLE, STATE_VARIABLE, Artifacts, state
from experiments.runner.execute import check_machine
from experiments.runner.plan import PlannedRun


def check(runs: Sequence[PlannedRun]) -> None:
    """Raise :class:`~experiments.errors.UserError` for the first thing that is not as it must be.

    Parameters
    ----------
    runs : those that are to be carried out.
    """
    here = state()
    for folder in (here.root, here.datasets, here.clusters, here.stores):
        _writable(folder, STATE_VARIABLE)
    for folder in (Artifacts().root, Artifacts().runs):
        _writable(folder, ARTIFACTS_VARIABLE)
    closed = machine.closed_to_others(here.root) if os.geteuid() == 0 else ""
    if closed:
        raise EnvironmentFault(
            f"the servers' user may not enter {closed}, where the state folder {here.root} is: "
            f"chmod o+x {closed}, or set {STATE_VARIABLE} to a folder elsewhere"
        )
    for run in runs:
        for folder in (run.folder.root, here.clusters / run.name, here.stores / run.name):
            if folder.exists() and not _open_to_us(folder):
                raise EnvironmentFault(
                    f"{folder}: cannot be written by this user; give the command as its owner"
                )
        datasets.check(run.spec.dataset, run.spec.workers, run.spec.seed)
        check_machine(run.spec)


def _writable(folder: Path, variable: str) -> None:
    mend = f"mend that, or set {variable} to a folder of yours"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(f"{folder}: cannot be made ({error.strerror}); {mend}") from None
    if not _open_to_us(folder):
        raise EnvironmentFault(f"{folder}: cannot be written by this user; {mend}")


def _open_to_us(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)
