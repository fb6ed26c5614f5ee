"""What finished runs took on this machine, part by part, as their journals tell it."""

from __future__ import annotations

import datetime
import itertools
import json
import math
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from experiments.approaches.base import Trait, epoch_units, find, units
from experiments.errors import DataError
from experiments.paths import RunFolder
from experiments.search.journaled import drawn
from experiments.specs.model import ModelConfig, RunSpec
from experiments.telemetry.journal import Event, read

COMPUTE = {"train": "train", "training_pass": "valid", "valid": "valid"}
"""Phases that a worker computes in, and the kind of batch that each is made of."""

MOST_BETWEEN = 15.0
"""Seconds: a run that starts later after another one was not waiting for its end."""


@dataclass(frozen=True)
class Work:
    """What workers compute for one network and kind of batch, over a whole run.

    Attributes
    ----------
    rows, steps : rows and optimizer steps (or batches), over all workers and epochs.
    units : in which they were done.
    seconds : that the workers' spans took in all; 0 where that is to be found out.
    """

    rows: float
    steps: float
    units: float
    seconds: float = 0.0

    @property
    def amounts(self) -> tuple[float, float, float]:
        """What its time is made of."""
        return (self.rows, self.steps, self.units)


class Network(NamedTuple):
    """What is trained at one speed: an architecture at a batch size, and ``train`` or ``valid``."""

    architecture: str
    batch_size: int
    kind: str


@dataclass(frozen=True)
class Shape:
    """How much there is to do in a run, whatever it takes.

    Attributes
    ----------
    workers : that are started.
    parallel : of them, those that train at once.
    units : of all models and epochs, evaluations included.
    work : by network and kind of batch.
    """

    workers: int
    parallel: int
    units: float
    work: Mapping[Network, Work]

    @property
    def networks(self) -> int:
        """How many there are to be built."""
        return sum(network.kind == "train" for network in self.work)

    @cached_property
    def crowding(self) -> float:
        """How many of those who train at once there are for each core."""
        return max(1.0, self.parallel / (os.cpu_count() or 1))

    @cached_property
    def starting(self) -> float:
        """The same of those who start at once."""
        return max(1.0, self.workers / (os.cpu_count() or 1))


@dataclass(frozen=True)
class Seen:
    """One finished run, from its journal.

    Attributes
    ----------
    runtime : what carried it out.
    parts : seconds of ``start`` (roles and driver), ``dataset``, ``etl``, ``init`` (until the first
        epoch), ``close``, ``stop`` (until the next run could start; absent where none came).
    epochs : seconds from the first epoch's start to the end of the training.
    began, ended : seconds of the clock on the wall.
    bytes : that the run left in its folder.
    """

    name: str
    spec: RunSpec
    runtime: str
    shape: Shape
    parts: Mapping[str, float]
    epochs: float
    began: float
    ended: float
    bytes: int = 0

    @property
    def seconds(self) -> float:
        """Of the whole run, its stop included where that is known."""
        return self.ended - self.began + self.parts.get("stop", 0.0)

    @property
    def computed(self) -> float:
        """Seconds of all spans that compute, over all workers."""
        return sum(work.seconds for work in self.shape.work.values())

    @property
    def beside(self) -> float:
        """Seconds of all who train at once in which they did something else, or waited."""
        return max(0.0, self.shape.parallel * self.epochs - self.computed)


def shape(spec: RunSpec, configs: Iterable[ModelConfig] | None = None) -> Shape:
    """What is to be done in a run.

    Parameters
    ----------
    configs : those that a search drew. Without them a search counts all its trials, with the mean
        of its space for each.
    """
    traits = find(spec.approach).traits
    weights = _weights(spec, configs)
    models = sum(weights.values())
    at_once = models if spec.search is None else min(models, spec.search.concurrency)
    if traits & {Trait.HOPS, Trait.TASK_PARALLEL, Trait.PACKAGE}:
        parallel = max(1, min(spec.workers, math.floor(at_once)))
    else:
        parallel = spec.workers  # one model at a time, on all of them
    together = Trait.DATA_PARALLEL in traits and spec.protocol.ddp_batch == "global"
    passes = 2 if spec.protocol.training_set_pass else 1
    work: dict[Network, Work] = {}
    for config, weight in weights.items():
        times = weight * spec.epochs
        trained = times * spec.dataset.train_rows
        steps = trained / config.batch_size * (spec.workers if together else 1)
        judged = times * (spec.dataset.valid_rows + (passes - 1) * spec.dataset.train_rows)
        for kind, rows, number in (
            ("train", trained, steps),
            ("valid", judged, judged / config.batch_size),
        ):
            key = Network(config.architecture, config.batch_size, kind)
            before = work.get(key, Work(0.0, 0.0, 0.0))
            done = times * units(spec) * (passes if kind == "valid" else 1)
            work[key] = Work(before.rows + rows, before.steps + number, before.units + done)
    return Shape(spec.workers, parallel, models * spec.epochs * epoch_units(spec), work)


def _weights(spec: RunSpec, configs: Iterable[ModelConfig] | None) -> dict[ModelConfig, float]:
    """How many models there are of each config; copies are the same config."""
    if spec.search is None or configs is not None:
        found: dict[ModelConfig, float] = {}
        for config in spec.configs if configs is None else configs:
            found[config] = found.get(config, 0.0) + 1.0
        return found
    axes = {axis.name: axis for axis in spec.search.space}
    architectures = [str(value) for value in axes["architecture"].values]
    sizes = [float(value) for value in axes["batch_size"].values]
    each = spec.search.trials / len(architectures)
    size = max(1, round(sum(sizes) / len(sizes)))
    return {ModelConfig(name, 0.0, 0.0, size): each for name in architectures}


def seen(folders: Iterable[Path]) -> list[Seen]:
    """The finished runs among some folders that were carried out on this machine in one go.

    What is damaged, was interrupted or comes from elsewhere tells nothing and is passed over.
    """
    found = [each for folder in sorted(folders) if (each := _seen(RunFolder(folder)))]
    return list(_with_stops(sorted(found, key=lambda each: each.began)))


def _seen(folder: RunFolder) -> Seen | None:
    try:
        record = json.loads(folder.run.read_text(encoding="utf-8"))
        result = json.loads(folder.result.read_text(encoding="utf-8"))
        spec = RunSpec.from_json(result["spec"])
        if not here(record["machine"]):
            return None
        events = list(read(folder.journal))
        return _from_journal(folder, record, result, spec, events)
    except (OSError, ValueError, KeyError, TypeError, DataError, StopIteration):
        return None


def here(machine: Mapping[str, Any]) -> bool:
    """Whether a run's ``machine`` is this one: cores, processor and whole GiB of memory."""
    memory = psutil.virtual_memory().total
    return bool(
        machine["cores"] == os.cpu_count()
        and machine["processor"] == platform.machine()
        and round(machine["memory_bytes"] / 2**30) == round(memory / 2**30)
    )


def _from_journal(
    folder: RunFolder,
    record: Mapping[str, Any],
    result: Mapping[str, Any],
    spec: RunSpec,
    events: list[Event],
) -> Seen | None:
    lost = {"unit_lost", "interrupted"}
    starts = sum(event.kind == "run_started" for event in events)
    if starts != 1 or any(event.kind in lost for event in events) or folder.earlier:
        return None
    stages = {e.detail["name"]: (e.detail["seconds"], e.wall) for e in events if e.kind == "stage"}
    first = next(e.wall for e in events if e.kind in {"epoch_started", "unit_started"})
    began = datetime.datetime.fromisoformat(record["started"]).timestamp()
    ended = datetime.datetime.fromisoformat(result["finished"]).timestamp()
    configs = dict(enumerate(spec.configs)) if spec.search is None else drawn(events)
    todo = shape(spec, configs.values())
    work = dict(todo.work)
    for event in events:
        kind = COMPUTE.get(event.phase or "") if event.kind == "span" else None
        if kind and event.model is not None and event.epoch is not None:
            config = configs[event.model]
            key = Network(config.architecture, config.batch_size, kind)
            work[key] = replace(work[key], seconds=work[key].seconds + event.seconds)
    trained = stages["train"][1]
    parts = {
        "start": max(0.0, events[0].wall - began),
        "dataset": float(stages["dataset"][0]),
        "etl": float(stages["etl"][0]),
        "init": max(0.0, first - stages["etl"][1]),
        "close": max(0.0, events[-1].wall - trained),
    }
    size = sum(path.stat().st_size for path in folder.root.rglob("*") if path.is_file())
    runtime = str(record["runtime"]["kind"])
    shaped = replace(todo, work=work)
    epochs = max(0.0, trained - first)
    return Seen(folder.root.name, spec, runtime, shaped, parts, epochs, began, ended, size)


def _with_stops(runs: list[Seen]) -> Iterator[Seen]:
    """Every run with what passed until the next one, where that came at once."""
    for run, later in itertools.zip_longest(runs, runs[1:]):
        between = later.began - run.ended if later else math.inf
        if 0 <= between < MOST_BETWEEN:
            yield replace(run, parts={**run.parts, "stop": between})
        else:
            yield run
