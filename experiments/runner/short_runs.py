"""The pilot's short runs: how long approaches take to start here, before any run is finished.

A run of its own experiment, ``pilot``, for each kind of approach and each data set of the runs that
are planned: one model, one epoch, a few rows. Its journal tells :mod:`experiments.runner.estimate`
what it needs, as any other's does. Published packages have no short run: what they need is made at
their first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from experiments.runner.estimate import PILOT, family
from experiments.runner.execute import execute
from experiments.runner.plan import PlannedRun, RunState, is_package, planned
from experiments.search.space import one_of_each_architecture
from experiments.specs.model import DatasetSpec, RunSpec

ROWS = 64
"""Of training and of validation for every worker."""


def short_runs(specs: Sequence[RunSpec], runtime: str) -> list[PlannedRun]:
    """The short runs that tell most of some planned runs, those that are done included."""
    chosen: dict[object, RunSpec] = {}
    for spec in specs:
        if not is_package(spec.approach):
            chosen.setdefault(family(spec.approach), spec)
    covered = {spec.dataset.name for spec in chosen.values()}
    for spec in specs:
        if spec.dataset.name not in covered and not is_package(spec.approach):
            covered.add(spec.dataset.name)
            chosen[spec.dataset.name] = spec
    return [planned(_short(spec), runtime=runtime) for spec in chosen.values()]


def carry_out(runs: Sequence[PlannedRun], say: Callable[[str], None]) -> None:
    """Those that are not done, one after the other."""
    for run in runs:
        if run.state is not RunState.DONE:
            say(f"pilot: {run.name}")
            execute(run, lambda _: None)


def _short(spec: RunSpec) -> RunSpec:
    configs = spec.configs
    if spec.search is not None:
        configs = tuple(one_of_each_architecture(spec.search.space))
    rows = ROWS * spec.workers
    return replace(
        spec,
        experiment=PILOT,
        epochs=1,
        dataset=DatasetSpec(spec.dataset.name, rows, rows),
        configs=configs[:1],
        search=None,
    )
