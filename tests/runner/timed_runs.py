"""Finished runs with times made up by a rule, as the runner would leave them."""

from __future__ import annotations

import datetime
import json
import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from experiments.paths import RunFolder
from experiments.runner.seen import shape
from experiments.specs.load import run_spec
from experiments.specs.model import RunSpec

MEGABYTE = 2.0**20
BEGAN = 1_800_000_000.0


@dataclass(frozen=True)
class Machine:
    """What a machine takes.

    Attributes
    ----------
    start, init, stop : seconds of a run, ``init`` for each network; crowding is counted.
    etl_fixed, etl_megabyte : seconds.
    row, step : worker seconds of training on a core of one's own; validation takes half.
    unit : worker seconds beside computing.
    """

    start: float = 4.0
    init: float = 3.0
    stop: float = 2.0
    etl_fixed: float = 1.0
    etl_megabyte: float = 0.1
    row: float = 0.001
    step: float = 0.004
    unit: float = 0.05

    def parts(self, spec: RunSpec) -> dict[str, float]:
        """Seconds of each part of a run, and of its units by model."""
        todo = shape(spec)
        megabytes = _bytes(spec) / MEGABYTE
        computed = sum(
            (work.rows * self.row + work.steps * self.step)
            * todo.crowding
            * (1.0 if network.kind == "train" else 0.5)
            for network, work in todo.work.items()
        )
        beside = todo.units * self.unit * todo.crowding
        return {
            "start": self.start * todo.starting,
            "etl": self.etl_fixed + self.etl_megabyte * megabytes,
            "init": self.init * todo.networks * todo.starting,
            "epochs": (computed + beside) / todo.parallel,
            "stop": self.stop,
        }

    def write(self, root: Path, spec: RunSpec, began: float = BEGAN, **record: Any) -> Path:
        """Its folder, with a name of its own; what ``record`` has goes into ``run.json``."""
        name = f"{spec.experiment}-{spec.approach}-w{spec.workers}-s{spec.seed}-{began:.0f}"
        folder = RunFolder(root / name)
        folder.root.mkdir(parents=True)
        parts, todo = self.parts(spec), shape(spec)
        clock = began + parts["start"]
        lines: list[dict[str, Any]] = [{"kind": "run_started", "wall": clock}]
        lines.append(_stage("dataset", 0.0, clock))
        clock += parts["etl"]
        lines.append(_stage("etl", parts["etl"], clock))
        clock += parts["init"]
        lines.append({"kind": "epoch_started", "epoch": 1, "wall": clock})
        for network, work in todo.work.items():
            share = 1.0 if network.kind == "train" else 0.5
            seconds = (work.rows * self.row + work.steps * self.step) * todo.crowding * share
            model = next(
                number
                for number, config in enumerate(spec.configs)
                if (config.architecture, config.batch_size) == network[:2]
            )
            span = {"phase": network.kind, "start_ns": 0, "end_ns": round(seconds * 1e9)}
            lines.append(
                {"kind": "span", "wall": clock, "worker": 0, "model": model, "epoch": 1, **span}
            )
        clock += parts["epochs"]
        lines.append(_stage("train", parts["init"] + parts["epochs"], clock))
        lines.append({"kind": "run_finished", "wall": clock})
        text = "".join(json.dumps({"run": name, "mono_ns": 0, **line}) + "\n" for line in lines)
        folder.journal.write_text(text)
        told = {"run": name, "started": _iso(began), **_record(), **record}
        folder.run.write_text(json.dumps(told))
        result = {"run": name, "spec": spec.to_json(), "finished": _iso(clock), "seconds": {}}
        folder.result.write_text(json.dumps(result))
        return folder.root


def spec_of(approach: str = "ctq", **changes: Any) -> RunSpec:
    """A small measured run."""
    spec = run_spec("breakdown", approach, "smoke", workers=changes.pop("workers", 2))
    rows = changes.pop("rows", None)
    if rows is not None:
        changes["dataset"] = replace(spec.dataset, train_rows=rows, valid_rows=rows)
    return replace(spec, **changes)


def _stage(name: str, seconds: float, wall: float) -> dict[str, Any]:
    return {"kind": "stage", "wall": wall, "detail": {"name": name, "seconds": seconds}}


def _record() -> dict[str, Any]:
    return {
        "runtime": {"kind": "local"},
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "memory_bytes": psutil.virtual_memory().total,
        },
    }


def _iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


def _bytes(spec: RunSpec) -> int:
    from experiments.runner.needs import data_bytes

    return data_bytes(spec)
