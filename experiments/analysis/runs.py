"""Finished runs as values: what was run, and every event of its journal."""

from __future__ import annotations

import json
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments.errors import DataError, SpecError
from experiments.paths import RunFolder
from experiments.search.journaled import drawn
from experiments.specs.model import ModelConfig, RunSpec
from experiments.telemetry import journal

EVIDENCE = ("measured", "emulated", "simulated")
"""Kinds of evidence that a run may be; a figure never mixes two of them."""


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes
    ----------
    name : the run's name, which is also its folder's.
    evidence : one of :data:`EVIDENCE`.
    classes : number of classes of the data set.
    seconds : wall time of ``etl``, ``init`` and ``train``.
    events : every whole event of the journal, in the order written.
    restarts : how often a role that had died was started again.
    pace : of an emulated run, what of its time was not the device's (``runner.pacing``).
    """

    name: str
    folder: Path
    spec: RunSpec
    evidence: str
    classes: int
    seconds: Mapping[str, float]
    events: tuple[journal.Event, ...]
    restarts: int
    pace: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The kind of evidence for a figure's title, with the device that was emulated."""
        emulation = self.spec.emulation
        if emulation is None:
            return self.evidence
        return f"{self.evidence} ({emulation.device}, {emulation.speedup:g} times as fast)"

    @property
    def configs(self) -> Mapping[int, ModelConfig]:
        """Every model config that was trained, by its model's number."""
        return (
            dict(enumerate(self.spec.configs)) if self.spec.search is None else drawn(self.events)
        )


def load(folder: Path) -> Run:
    """The finished run in ``folder``.

    Raises
    ------
    DataError
        The run is not finished (no ``result.json``), or one of its files is missing or damaged.
    """
    names = RunFolder(folder)
    result = load_result(folder)
    _read_object(names.run)
    events = tuple(journal.read(names.journal))
    if not events:
        raise DataError(f"{names.journal}: missing or empty, although {names.result.name} is there")
    try:
        spec = RunSpec.from_json(result["spec"])
        name, evidence = str(result["run"]), str(result["evidence"])
        seconds = {str(key): float(value) for key, value in result["seconds"].items()}
        classes = operator.index(result["classes"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{names.result}: not the result of a run ({error!r})") from None
    if evidence not in EVIDENCE:
        raise DataError(f"{names.result}: evidence is {evidence!r}, not one of {EVIDENCE}")
    if classes < 2:
        raise DataError(f"{names.result}: classes is {classes}, fewer than 2")
    restarts = sum(event.kind == "restarted" for event in journal.read(names.restarts))
    pace = dict(result.get("pace", {}))
    return Run(name, folder, spec, evidence, classes, seconds, events, restarts, pace)


def load_result(folder: Path) -> Mapping[str, Any]:
    """``result.json`` of a finished run; :class:`DataError` where it is missing or damaged."""
    names = RunFolder(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such run")
    if not names.result.exists():
        raise DataError(f"{folder}: the run is not finished (it has no {names.result.name})")
    return _read_object(names.result)


def _read_object(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: holds a {type(value).__name__}, not an object")
    return value


def comparable(runs: Sequence[Run], apart: Collection[str] = ()) -> Run:
    """The first of ``runs``, after a check that one figure may show them all.

    They may differ in approach, policy and seed only, and no approach may have a seed twice.

    Parameters
    ----------
    apart : what else the figure is about: ``workers``, ``policy`` or ``protocol``, of which an
        approach may have several.

    Raises
    ------
    SpecError
        There is no run, or two differ in something else; the message names runs and settings.
    """
    if not runs:
        raise SpecError("a figure needs at least one finished run")
    first = runs[0]
    for run in runs[1:]:
        different = [
            f"{key} ({mine!r} and {other!r})"
            for (key, mine), (_, other) in zip(_common(first), _common(run), strict=True)
            if mine != other and key not in apart
        ]
        if different:
            raise SpecError(
                f"one figure cannot show {first.name} and {run.name}: "
                f"they differ in {', '.join(different)}"
            )
    _refuse_doubles(runs, apart)
    return first


def by_experiment(runs: Sequence[Run]) -> Mapping[str, Sequence[Run]]:
    """The runs of each experiment, in the order they come, for a figure that shows several.

    Raises
    ------
    SpecError
        There is no run, those of one experiment are not :func:`comparable`, or two experiments
        differ in kind of evidence, scale, protocol or number of workers.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.spec.experiment, []).append(run)
    if not groups:
        raise SpecError("a figure needs at least one finished run")
    shared = {
        (first.shown, first.spec.scale, str(first.spec.protocol), first.spec.workers)
        for first in map(comparable, groups.values())
    }
    if len(shared) > 1:
        raise SpecError(
            f"one figure cannot show {', '.join(groups)}: "
            f"they differ in evidence, scale, protocol or workers ({sorted(shared)})"
        )
    return groups


def _common(run: Run) -> Iterable[tuple[str, object]]:
    spec = run.spec
    yield "evidence", run.evidence
    yield "experiment", spec.experiment
    yield "scale", spec.scale
    yield "protocol", str(spec.protocol)
    yield "workers", spec.workers
    yield "device", _device(run)
    yield "epochs", spec.epochs
    yield "dataset", spec.dataset
    yield "configs", tuple(config.key for config in spec.configs)
    yield "search", spec.search and replace(spec.search, follows=None)


def _device(run: Run) -> tuple[str, float, float] | None:
    """What workers waited for, how much faster, and with states of which size."""
    emulation = run.spec.emulation
    if emulation is None:
        return None
    return emulation.device, emulation.speedup, emulation.state_fraction


def _refuse_doubles(runs: Sequence[Run], apart: Collection[str]) -> None:
    seen: dict[tuple[object, ...], str] = {}
    for run in runs:
        spec = run.spec
        key = (spec.approach, spec.seed, *(str(getattr(spec, name)) for name in sorted(apart)))
        if key in seen:
            raise SpecError(
                f"{seen[key]} and {run.name} are both {key[0]} with seed {key[1]}; "
                "a figure needs one of them"
            )
        seen[key] = run.name
