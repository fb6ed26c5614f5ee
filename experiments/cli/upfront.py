"""What is refused, or made, before anything starts, for all runs at once.

Folders, data, memory and disk are looked at; environments of their own are made for those that need
them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing

from experiments import datasets, nvidia
from experiments.cli import environment, machine
from experiments.errors import EnvironmentFault
from experiments.paths import ARTIFACTS_VARIABLE, STATE_VARIABLE, Artifacts, state
from experiments.runner import needs
from experiments.runner.plan import PlannedRun
from experiments.runtime import choice, engine, gpus, images, provisioned, sweep
from experiments.runtime.definitions import owner
from experiments.specs.load import approaches


def check(runs: Sequence[PlannedRun], segments: str) -> list[str]:
    """Raise :class:`~experiments.errors.UserError` for the first thing that is not as it must be.

    Parameters
    ----------
    runs : those that are to be carried out.
    segments : which nodes take part.

    Returns
    -------
    Lines that say what the runs will train on.
    """
    here = state()
    problem = machine.closed_problem(here.root, STATE_VARIABLE)
    for folder in (here.root, here.datasets, here.clusters, here.stores):
        problem = problem or machine.folder_problem(folder, STATE_VARIABLE)
    for folder in (Artifacts().root, Artifacts().runs):
        problem = problem or machine.folder_problem(folder, ARTIFACTS_VARIABLE)
    if problem:
        raise EnvironmentFault(problem)
    for run in runs:
        for folder in (run.folder.root, here.clusters / run.name, here.stores / run.name):
            if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
                raise EnvironmentFault(
                    f"{folder}: cannot be written by this user; give the command as its owner"
                )
        datasets.check(run.spec.dataset, run.spec.workers, run.spec.seed)
    needs.check([run.spec for run in runs], runs[0].runtime)
    sizes = sorted({run.spec.workers for run in runs if run.spec.emulation is None})
    if runs[0].runtime == choice.CLUSTER:
        return provisioned.remarks(sizes, segments)
    found = nvidia.find()
    gpus.check_segments(segments, found)
    return list(dict.fromkeys(line for size in sizes for line in gpus.remarks(found, size)))


def make(runs: Sequence[PlannedRun], runtime: str, *, quiet: bool) -> None:
    """Make what runs and notebooks need and what is not there yet: images, other environments.

    Parameters
    ----------
    runs : those that are to be carried out.
    """
    from experiments.cli import setup

    if runtime == choice.DOCKER:
        with closing(engine.connect()) as client:
            sweep.remove_abandoned(client, owner(), state().clusters)
            images.ensure(client, images.IMAGES, setup.Progress(quiet).tell)
    if runtime != choice.LOCAL:
        return
    rows = (approaches()[run.spec.approach] for run in runs)
    for name in sorted({row.environment for row in rows if row.environment is not None}):
        setup.add(environment.standard(name), setup.Progress(quiet))
