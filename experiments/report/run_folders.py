"""What lies in ``artifacts/runs``: each folder's state and facts, without reading its journal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.paths import RunFolder

_DIGEST = re.compile(r"-[0-9a-f]{8}$")


@dataclass(frozen=True)
class RunSeen:
    """One run's folder.

    Attributes
    ----------
    evidence : kind of evidence; empty while the run is not finished and does not say it.
    started, finished : in ISO 8601; empty where the folder does not say.
    stages : seconds of the dataset, the ETL and training; empty while the run is not finished.
    machine : system, cores, memory and devices, as ``run.json`` has them.
    runtime : what carried it out.
    fault : why its files cannot be used; empty where they can.
    """

    name: str
    folder: Path
    experiment: str = ""
    approach: str = ""
    scale: str = ""
    protocol: str = ""
    workers: int = 0
    seed: int = 0
    evidence: str = ""
    started: str = ""
    finished: str = ""
    stages: Mapping[str, float] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    runtime: str = ""
    fault: str = ""

    @property
    def done(self) -> bool:
        return bool(self.finished) and not self.fault

    @property
    def seconds(self) -> float | None:
        """Of all its stages; None while it is not finished."""
        return sum(self.stages.values()) if self.done else None


def seen(runs: Path) -> list[RunSeen]:
    """Every folder of ``runs`` that a run has begun in, by name; damaged ones with their fault."""
    if not runs.is_dir():
        return []
    folders = [path for path in sorted(runs.iterdir()) if path.is_dir()]
    return [one(folder) for folder in folders if RunFolder(folder).run.exists()]


def current(runs: Iterable[RunSeen]) -> tuple[tuple[RunSeen, ...], int]:
    """The runs that count, and how many do not: finished ones that were done again since.

    A name ends with a digest of specification, code and locks, so what another version of the code
    did lies beside what this one did, under the same name but for the digest.
    """
    every = list(runs)
    latest: dict[str, RunSeen] = {}
    for run in sorted((run for run in every if run.done), key=lambda run: run.finished):
        latest[_DIGEST.sub("", run.name)] = run
    kept = tuple(run for run in every if not run.done or latest[_DIGEST.sub("", run.name)] is run)
    return kept, len(every) - len(kept)


def one(folder: Path) -> RunSeen:
    """What one run's folder says of itself."""
    names = RunFolder(folder)
    try:
        about = _object(names.run)
        result = _object(names.result) if names.result.exists() else {}
        return _run(folder, about, result)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return RunSeen(folder.name, folder, fault=f"its files are damaged ({error!r})")


def _run(folder: Path, about: Mapping[str, Any], result: Mapping[str, Any]) -> RunSeen:
    spec = result.get("spec") or about.get("spec") or {}
    emulated = spec.get("emulation") is not None
    return RunSeen(
        name=folder.name,
        folder=folder,
        experiment=str(spec.get("experiment", "")),
        approach=str(spec.get("approach", "")),
        scale=str(spec.get("scale", "")),
        protocol=str(spec.get("protocol", {}).get("name", "")),
        workers=int(spec.get("workers", 0)),
        seed=int(spec.get("seed", 0)),
        evidence=str(result.get("evidence") or ("emulated" if emulated else "measured")),
        started=str(about.get("started", "")),
        finished=str(result.get("finished", "")),
        stages={str(name): float(value) for name, value in result.get("seconds", {}).items()},
        machine=dict(about.get("machine", {})),
        runtime=str(about.get("runtime", {}).get("kind", "")),
    )


def _object(path: Path) -> Mapping[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise TypeError(f"{path.name} holds a {type(value).__name__}")
    return value
