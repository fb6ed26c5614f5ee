"""``--list`` and ``--plan`` as tables or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from experiments.analysis.names import FigureFiles
from experiments.cli.progress import duration
from experiments.paths import Artifacts
from experiments.runner.plan import PlannedRun, RunState
from experiments.specs.load import experiments, figures

EVIDENCE = "measured"
"""Every experiment that exists so far trains for real at every scale."""


def render_list(scale: str, runs: Sequence[PlannedRun], as_json: bool) -> str:
    """Figures and experiments: id, place in the paper, evidence, state, last duration."""
    rows: list[dict[str, Any]] = [
        {
            "kind": "figure",
            "id": row.id,
            "title": row.title,
            "place": row.place,
            "evidence": EVIDENCE,
            "state": "built"
            if FigureFiles(row.id, Artifacts().figures(scale)).sidecar.exists()
            else "not built",
            "seconds": None,
        }
        for row in figures().values()
    ]
    for experiment in experiments().values():
        own = [run for run in runs if run.spec.experiment == experiment.id]
        done = [run for run in own if run.state is RunState.DONE]
        rows.append(
            {
                "kind": "experiment",
                "id": experiment.id,
                "title": experiment.title,
                "place": experiment.place,
                "evidence": EVIDENCE,
                "state": f"{len(done)} of {len(own)} runs",
                "seconds": sum(run.seconds or 0 for run in done) or None,
            }
        )
    if as_json:
        return json.dumps({"scale": scale, "rows": rows}, indent=1)
    lines = [("kind", "id", "place in the paper", "evidence", "state", "last took", "what")]
    lines += [
        (
            str(row["kind"]),
            str(row["id"]),
            str(row["place"]),
            str(row["evidence"]),
            str(row["state"]),
            duration(float(row["seconds"])) if row["seconds"] else "-",
            str(row["title"]),
        )
        for row in rows
    ]
    return f"scale {scale}\n{_table(lines)}"


def render_plan(runs: Sequence[PlannedRun], as_json: bool) -> str:
    """Runs in order: would it run, and why."""
    if as_json:
        return json.dumps(
            [
                {
                    "run": run.name,
                    "state": run.state.value,
                    "reason": run.reason,
                    "spec": run.spec.to_json(),
                    "fingerprint": run.parts,
                }
                for run in runs
            ],
            indent=1,
        )
    lines = [("run", "state", "why")]
    lines += [(run.name, run.state.value, run.reason) for run in runs]
    todo = sum(run.state is not RunState.DONE for run in runs)
    return f"{_table(lines)}\n{todo} of {len(runs)} runs to do, in this order"


def _table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
