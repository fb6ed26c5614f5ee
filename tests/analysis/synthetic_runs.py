"""Run folders made up by tests, written through the journal's own writer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.paths import RunFolder
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec
from experiments.telemetry.journal import Journal, Span

SECOND = 1_000_000_000

SPEC = RunSpec(
    experiment="breakdown",
    approach="ctq",
    scale="smoke",
    protocol="equal",
    workers=2,
    seed=1,
    epochs=1,
    policy="random",
    dataset=DatasetSpec("fashion-mnist", 2400, 800),
    configs=(
        ModelConfig("vgg-tiny", 1e-4, 1e-4, 32),
        ModelConfig("resnet-tiny", 1e-4, 1e-4, 32),
    ),
)


@dataclass(frozen=True)
class Label:
    """The part of an approach's row that figures use."""

    title: str
    paper: str | None
    colour: str = "#0072b2"


LABELS = {
    "cerebro-standalone": Label("Cerebro-Standalone", "Cerebro-Spark"),
    "ctq": Label("CTQ", "CTQ"),
}


@dataclass(frozen=True)
class Timed:
    """A span to be written: how long a worker spent in a phase."""

    worker: int | None
    epoch: int | None
    phase: str
    ns: int


def spec(**changes: Any) -> RunSpec:
    return replace(SPEC, **changes)


def write_run(
    folder: Path, run: RunSpec, spans: Iterable[Timed], *, evidence: str = "measured"
) -> Path:
    """A finished run with these spans and one evaluation per model and epoch."""
    names = RunFolder(folder)
    folder.mkdir(parents=True)
    names.run.write_text(json.dumps({"run": folder.name}))
    with Journal(names.journal, folder.name) as journal:
        journal.append("run_started")
        write_spans(journal, spans)
        for epoch in range(1, run.epochs + 1):
            for model in range(len(run.configs)):
                journal.append(
                    "evaluated",
                    model=model,
                    epoch=epoch,
                    split="valid",
                    rows=800,
                    loss=1.0 / epoch,
                    top1_error=0.5 / epoch,
                    top5_error=0.1 / epoch,
                )
        journal.append("run_finished")
    write_result(folder, run, evidence=evidence)
    return folder


def write_spans(journal: Journal, spans: Iterable[Timed]) -> None:
    clock = 5 * SECOND
    for timed in spans:
        span = Span(timed.phase, clock, clock + timed.ns)
        journal.span(span, worker=timed.worker, epoch=timed.epoch)
        clock += timed.ns


def write_result(folder: Path, run: RunSpec, *, evidence: str = "measured") -> None:
    result = {
        "run": folder.name,
        "spec": run.to_json(),
        "fingerprint": {"spec": "0"},
        "evidence": evidence,
        "classes": 10,
        "seconds": {"etl": 1.0, "init": 2.0, "train": 3.0},
        "finished": "2021-05-07T00:00:00+00:00",
    }
    RunFolder(folder).result.write_text(json.dumps(result))


def typical(run: RunSpec, seconds: dict[str, float]) -> list[Timed]:
    """Every worker spends these seconds in every epoch, after 3 s of init and 7 s of ETL."""
    spans = [Timed(None, None, "etl.load", 7 * SECOND)]
    spans += [Timed(worker, None, "init", 3 * SECOND) for worker in range(run.workers)]
    spans += [
        Timed(worker, epoch, phase, round(value * SECOND))
        for epoch in range(1, run.epochs + 1)
        for worker in range(run.workers)
        for phase, value in seconds.items()
    ]
    return spans


STANDALONE_S = {
    "train": 16.0,
    "valid": 2.0,
    "data_transmission": 0.08,
    "model_transmission": 0.21,
    "idle": 1.7,
}
CTQ_S = {
    "train": 17.0,
    "valid": 2.5,
    "data_transmission": 3.1,
    "model_transmission": 0.35,
    "idle": 0.9,
}


def two_approaches(root: Path, seeds: Iterable[int] = (1,)) -> list[Path]:
    """Runs of both approaches; a seed makes every phase longer by ten per cent of itself."""
    folders = []
    for seed in seeds:
        for approach, seconds in (("cerebro-standalone", STANDALONE_S), ("ctq", CTQ_S)):
            run = spec(approach=approach, seed=seed)
            slower = {phase: value * (1 + seed / 10) for phase, value in seconds.items()}
            folders.append(write_run(root / f"{approach}-{seed}", run, typical(run, slower)))
    return folders
