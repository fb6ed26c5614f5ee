"""An artifacts folder with two runs and a figure, as a small bundle would leave it."""

from __future__ import annotations

import json
from pathlib import Path

from experiments.analysis import notebooks
from experiments.paths import Artifacts, RunFolder, state
from tests.analysis.synthetic_runs import two_approaches
from tests.analysis.test_notebooks import write_notebook

DRAWN = """
import csv, json, pathlib
from experiments.analysis.runs import load
out = pathlib.Path(out_dir)
loaded = [load(pathlib.Path(folder)) for folder in runs]
rows = [(run.spec.approach, sum(event.seconds for event in run.events)) for run in loaded]
with (out / "tiny.csv").open("w", newline="") as file:
    csv.writer(file, lineterminator="\\n").writerows([("approach", "seconds"), *rows])
for suffix in ("png", "pdf"):
    (out / f"tiny.{suffix}").write_bytes(b"picture")
"""
"""A notebook that draws little and fast."""

MANIFEST = {"source": "made up", "licence": "CC0", "files": {}}


def whole(folder: Path) -> tuple[Artifacts, Path]:
    """Artifacts with a figure ``tiny`` of two runs, and the folder of its notebook."""
    artifacts, notebooks_at = Artifacts(folder / "artifacts"), folder / "notebooks"
    runs = two_approaches(artifacts.runs)
    for name in runs:
        run = RunFolder(name)
        run.models.mkdir()
        (run.models / "0.state").write_bytes(b"weights")
        run.topology.write_text(json.dumps({"secrets": "/run/secrets", "nodes": []}))
        run.log.write_text("said")
        run.run.write_text(json.dumps(record(name.name)))
        result = json.loads(run.result.read_text())
        run.result.write_text(json.dumps({**result, "dataset": "d" * 64}))
    manifest = state().datasets / f"fashion-mnist-{'d' * 16}" / "manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps(MANIFEST))
    parameters = notebooks.Parameters("smoke", tuple(runs), artifacts, notebooks_at)
    write_notebook(parameters.source("tiny"), DRAWN)
    notebooks.build("tiny", parameters)
    return artifacts, notebooks_at


def record(name: str) -> dict[str, object]:
    return {
        "run": name,
        "started": "2021-05-06T00:00:00+00:00",
        "runtime": {"kind": "docker", "images": {"worker": "sha256:0a", "segment": "sha256:0b"}},
        "machine": {
            "system": "Linux",
            "cores": 2,
            "memory_bytes": 2**34,
            "processor": "x86_64",
            "devices": ["CPU", "CPU"],
        },
    }
