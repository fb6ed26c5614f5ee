"""Run folders made up by tests, written through the journal's own writer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.analysis.runs import Run
from experiments.paths import RunFolder
from experiments.specs.load import protocols
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec
from experiments.telemetry.journal import Journal, Span

SECOND = 1_000_000_000

SPEC = RunSpec(
    experiment="breakdown",
    approach="ctq",
    scale="smoke",
    protocol=protocols()["equal"],
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


Measures = Callable[[int, int], dict[str, Any]]
"""What the evaluation of a model after an epoch found."""


def improving(model: int, epoch: int) -> dict[str, Any]:
    return {"loss": 1.0 / epoch, "top1_error": 0.5 / epoch, "top5_error": 0.1 / epoch}


def write_run(
    folder: Path,
    run: RunSpec,
    spans: Iterable[Timed],
    *,
    evidence: str = "measured",
    classes: int = 10,
    measures: Measures = improving,
) -> Path:
    """A finished run with these spans, its stages, and each epoch's marks and evaluations.

    The journal's own clock says that ETL took 7 s and an epoch no time at all;
    :func:`retime` changes that.
    """
    names = RunFolder(folder)
    folder.mkdir(parents=True)
    names.run.write_text(json.dumps({"run": folder.name}))
    with Journal(names.journal, folder.name) as journal:
        journal.append("run_started")
        journal.append("stage", name="etl", seconds=7.0)
        write_spans(journal, spans)
        for epoch in range(1, run.epochs + 1):
            journal.append("epoch_started", epoch=epoch)
            for model in range(len(run.configs)):
                journal.append(
                    "evaluated",
                    model=model,
                    epoch=epoch,
                    split="valid",
                    rows=800,
                    **measures(model, epoch),
                )
            journal.append("epoch_finished", epoch=epoch)
        journal.append("run_finished")
    write_result(folder, run, evidence=evidence, classes=classes)
    return folder


def retime(run: Run, seconds: float) -> Run:
    """The run with events that come so many seconds after one another."""
    events = (
        replace(event, mono_ns=round(number * seconds * SECOND))
        for number, event in enumerate(run.events)
    )
    return replace(run, events=tuple(events))


def write_spans(journal: Journal, spans: Iterable[Timed]) -> None:
    clock = 5 * SECOND
    for timed in spans:
        span = Span(timed.phase, clock, clock + timed.ns)
        journal.span(span, worker=timed.worker, epoch=timed.epoch)
        clock += timed.ns


def write_result(
    folder: Path, run: RunSpec, *, evidence: str = "measured", classes: int = 10
) -> None:
    result = {
        "run": folder.name,
        "spec": run.to_json(),
        "fingerprint": {"spec": "0"},
        "evidence": evidence,
        "classes": classes,
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
