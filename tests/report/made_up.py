"""An artifacts folder made up by tests: runs through the journal's writer, a figure, verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from experiments.analysis.names import FigureFiles
from experiments.paths import Artifacts, RunFolder
from experiments.report.verdict import Outcome, Verdict
from experiments.specs.model import RunSpec
from experiments.telemetry.journal import Journal, Span
from tests.analysis.synthetic_runs import SECOND, spec, write_result

EVIL = "<script>document.title='gone'</script><img src=x onerror=\"document.title='gone'\">"
"""What must stand on the page as text."""

MACHINE = {"system": "Linux", "cores": 2, "memory_bytes": 8e9, "devices": ["CPU", "CPU"]}


def begin(folder: Path, run: RunSpec) -> Journal:
    """A run that has begun, and its journal, which the caller closes."""
    names = RunFolder(folder)
    folder.mkdir(parents=True)
    about = {
        "run": folder.name,
        "spec": run.to_json(),
        "runtime": {"kind": "local"},
        "started": "2021-05-06T23:59:00+00:00",
        "machine": MACHINE,
    }
    names.run.write_text(json.dumps(about))
    names.log.write_text(f"the driver says {EVIL}\n")
    journal = Journal(names.journal, folder.name)
    journal.append("run_started")
    return journal


def train(journal: Journal, worker: int, model: int, at: int, *, partition: int = 0) -> None:
    """One unit of training of a second, from second ``at`` on, begun and finished."""
    keys: dict[str, Any] = {"worker": worker, "model": model, "partition": partition, "epoch": 1}
    journal.append("unit_started", kind="train", **keys)
    journal.span(Span("train", at * SECOND, (at + 1) * SECOND), **keys)
    journal.append("unit_finished", kind="train", **keys)


def finished(folder: Path, run: RunSpec, units: int = 4) -> Path:
    """A finished run of so many units, turn by turn on its workers."""
    with begin(folder, run) as journal:
        journal.append("stage", name="etl", seconds=1.0)
        for number in range(units):
            train(journal, number % run.workers, number % 2, number)
        journal.append("run_finished")
    write_result(folder, run)
    return folder


def figure(artifacts: Artifacts, name: str, csv: str, runs: Iterable[Path]) -> FigureFiles:
    """A figure as its notebook leaves it: a picture, a table and what it was made from."""
    folder = artifacts.figures("smoke")
    folder.mkdir(parents=True, exist_ok=True)
    artifacts.notebooks("smoke").mkdir(parents=True, exist_ok=True)
    files = FigureFiles(name, folder)
    Image.new("RGB", (1200, 400), "#3377aa").save(files.png)
    files.pdf.write_bytes(b"%PDF-1.4\n")
    files.csv.write_text(csv)
    (artifacts.notebooks("smoke") / f"{name}.ipynb").write_text("{}")
    made_from = {run.name: "0" for run in runs}
    files.sidecar.write_text(json.dumps({"fingerprint": {"runs": made_from}}))
    return files


def verdict(claim: str, outcome: Outcome, **other: object) -> Verdict:
    """A claim with an outcome."""
    said = {"title": f"claim {claim}", "words": f"words of {claim}", "place": "Section 5"}
    return Verdict(claim=claim, outcome=outcome, reason="because", **{**said, **other})  # type: ignore[arg-type]


def judge(artifacts: Artifacts, verdicts: Iterable[Verdict]) -> None:
    """Write verdicts as ``--verify`` does."""
    artifacts.report.mkdir(parents=True, exist_ok=True)
    rows = [asdict(each) for each in verdicts]
    made = {"scale": "smoke", "made": "2021-05-07T00:00:00+00:00", "verdicts": rows}
    artifacts.verdicts.write_text(json.dumps(made))


TABLE = """approach,title,component,ours_s,ours_share,paper_share,evidence
ctq,CTQ,train,3.5,0.75,0.71,measured
ctq,CTQ,idle,1.25,0.25,0.29,measured
da-cerebro,DA-Cerebro,train,2,1,0.91,measured
"""


def whole(root: Path) -> Artifacts:
    """Two finished runs with a Gantt chart each, figure 9b, claims and a prediction."""
    artifacts = Artifacts(root)
    runs = [
        finished(artifacts.runs / f"breakdown-{approach}-smoke", spec(approach=approach))
        for approach in ("ctq", "da-cerebro")
    ]
    figure(artifacts, "9b", TABLE, runs)
    judge(
        artifacts,
        [
            verdict("1", Outcome.REPRODUCED, runs=(runs[0].name,), figures=("9b",)),
            verdict("2", Outcome.CONTRADICTED, words=f"hopping {EVIL}", numbers={"ratio": 2.5}),
            verdict("3", Outcome.NOT_RUN, title=EVIL),
        ],
    )
    expected = {
        "scale": "smoke",
        "made": "2021-05-06T00:00:00+00:00",
        "runs": {
            runs[0].name: {"seconds": 7.5, "bytes": 1, "source": "2 runs", "took_seconds": 6.0}
        },
        "total_seconds": 7.5,
    }
    artifacts.predicted.write_text(json.dumps(expected))
    return artifacts
