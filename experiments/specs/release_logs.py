"""What the folders of the authors' own logs are of (``release_logs.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from experiments.errors import SpecError
from experiments.paths import SPECS

COMPONENTS = ("train_valid", "data_transmission", "model_transmission", "approach_specific")
"""What the time of a worker may count to."""

ETL_ENDS = ("preloaded", "training", "loaded", "none")


@dataclass(frozen=True)
class Approach:
    """One approach of the release.

    Attributes
    ----------
    row : its name in the paper's figures.
    events : which rules its workers' events follow.
    etl : what in its logs ends the ETL, one of :data:`ETL_ENDS`.
    names : folders of its runs may be called so.
    """

    id: str
    title: str
    row: str
    events: str
    colour: str
    etl: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """Runs that the release drew together.

    Attributes
    ----------
    figures : what was drawn of them.
    epochs : of every approach that ``epochs_of`` does not name.
    stamps : by number of workers and approach, the folder of the run.
    """

    id: str
    title: str
    dataset: str
    epochs: int
    epochs_of: Mapping[str, int]
    figures: tuple[str, ...]
    stamps: Mapping[int, Mapping[str, str]]


@dataclass(frozen=True)
class Use:
    """One run of an experiment: ``epochs`` that it trained."""

    experiment: Experiment
    workers: int
    epochs: int


@dataclass(frozen=True)
class Rule:
    """The time between two events that fit the patterns is of this component."""

    before: str
    after: str
    component: str

    def fits(self, before: str, after: str) -> bool:
        return fnmatchcase(before, self.before) and fnmatchcase(after, self.after)


@dataclass(frozen=True)
class ReleaseLogs:
    """All of ``release_logs.toml``.

    Attributes
    ----------
    typed : numbers that the release's notebook typed in: what for, which, and what is used instead.
    lost : what no folder of logs can show, and why.
    """

    release: str
    approaches: Mapping[str, Approach]
    experiments: tuple[Experiment, ...]
    rules: Mapping[str, tuple[Rule, ...]]
    typed: tuple[Mapping[str, str], ...]
    lost: tuple[Mapping[str, str], ...]

    def approach_of(self, stamp: str, folder: str) -> Approach | None:
        """Whose run a folder is: by its name, or else by its time stamp if that is of one only."""
        for approach in self.approaches.values():
            if folder.partition("/")[0] in approach.names:
                return approach
        named = {
            approach
            for experiment in self.experiments
            for runs in experiment.stamps.values()
            for approach, its in runs.items()
            if its == stamp
        }
        return self.approaches[named.pop()] if len(named) == 1 else None

    def uses(self, stamp: str, approach: str) -> Iterator[Use]:
        """The experiments that a run was used for."""
        for experiment in self.experiments:
            for workers, runs in experiment.stamps.items():
                if runs.get(approach) == stamp:
                    epochs = experiment.epochs_of.get(approach, experiment.epochs)
                    yield Use(experiment, workers, epochs)


def load(path: Path = SPECS / "release_logs.toml") -> ReleaseLogs:
    """The file, checked.

    Raises
    ------
    SpecError
        An experiment or a rule names an approach or a component that does not exist.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        logs = _logs(table)
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError(f"{path}: cannot be used ({error!r})") from None
    for fault in _faults(logs):
        raise SpecError(f"{path}: {fault}")
    return logs


def _logs(table: Mapping[str, Any]) -> ReleaseLogs:
    return ReleaseLogs(
        release=table["release"],
        approaches={
            key: Approach(id=key, **{**row, "names": tuple(row["names"])})
            for key, row in table["approaches"].items()
        },
        experiments=tuple(_experiment(row) for row in table["experiments"]),
        rules={
            key: tuple(Rule(row["before"], row["after"], row["is"]) for row in rows)
            for key, rows in table["events"].items()
        },
        typed=tuple(table["typed"]),
        lost=tuple(table["lost"]),
    )


def _experiment(row: Mapping[str, Any]) -> Experiment:
    stamps = row.get("stamps") or {row["workers"]: row["runs"]}
    return Experiment(
        id=row["id"],
        title=row["title"],
        dataset=row["dataset"],
        epochs=row["epochs"],
        epochs_of=row.get("epochs_of", {}),
        figures=tuple(row["figures"]),
        stamps={int(workers): runs for workers, runs in stamps.items()},
    )


def _faults(logs: ReleaseLogs) -> Iterator[str]:
    for approach in logs.approaches.values():
        if approach.events not in logs.rules:
            yield f"approach {approach.id!r} has events {approach.events!r}, no rules"
        if approach.etl not in ETL_ENDS:
            yield f"{approach.id}: etl is {approach.etl!r}, none of {', '.join(ETL_ENDS)}"
    for experiment in logs.experiments:
        named = {approach for runs in experiment.stamps.values() for approach in runs}
        for approach_id in sorted({*named, *experiment.epochs_of} - {*logs.approaches}):
            yield f"{experiment.id} names {approach_id!r}, no approach"
    for key, rules in logs.rules.items():
        for rule in rules:
            if rule.component not in COMPONENTS:
                yield f"events.{key}: {rule.component!r} is none of {', '.join(COMPONENTS)}"
