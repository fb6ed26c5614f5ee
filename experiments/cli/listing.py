"""``--list`` and ``--plan`` as tables or JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.analysis.notebooks import Parameters, why_stale
from experiments.errors import UserError
from experiments.report.words import duration, size
from experiments.runner import needs
from experiments.runner.estimate import Estimate, total
from experiments.runner.plan import PlannedRun, RunState
from experiments.specs.load import (
    ExperimentRow,
    FigureRow,
    LeftOut,
    approaches,
    experiments,
    figures,
    left_out,
)

LEFT_OUT = "left out"
"""The state of what will not be run at this scale."""

Plan = Callable[[Sequence[str]], Sequence[PlannedRun]]


def render_list(scale: str, plan: Plan, as_json: bool) -> str:
    """Figures and experiments: id, place in the paper, evidence, state, last duration.

    Parameters
    ----------
    plan : the runs of some experiments.
    """
    runs = {name: _runs(plan, name) for name in experiments()}
    rows = [
        _row(
            "figure",
            figure,
            _evidence(figure.experiments, runs),
            _figure_state(figure, scale, runs),
        )
        for figure in figures().values()
    ]
    for experiment in experiments().values():
        own = runs[experiment.id]
        evidence = _evidence([experiment.id], runs)
        if isinstance(own, UserError):
            rows.append(_row("experiment", experiment, evidence, f"cannot be run: {own}"))
            continue
        done = [run for run in own if run.state is RunState.DONE]
        seconds = sum(run.seconds or 0 for run in done) or None
        state = f"{len(done)} of {len(own)} runs"
        for each in left_out(experiment.id, scale):
            state += f"; without {approaches()[each.approach].title}: {each.reason}"
        rows.append(_row("experiment", experiment, evidence, state, seconds))
    if as_json:
        return json.dumps({"scale": scale, "rows": rows}, indent=1)
    lines = [("kind", "id", "place in the paper", "evidence", "last took", "what", "state")]
    lines += [
        (
            row["kind"],
            row["id"],
            row["place"],
            row["evidence"],
            duration(row["seconds"]) if row["seconds"] else "-",
            row["title"],
            row["state"],
        )
        for row in rows
    ]
    return f"scale {scale}\n{_table(lines)}"


def _runs(plan: Plan, experiment: str) -> Sequence[PlannedRun] | UserError:
    try:
        return plan([experiment])
    except UserError as error:
        return error


def _figure_state(
    figure: FigureRow, scale: str, runs: Mapping[str, Sequence[PlannedRun] | UserError]
) -> str:
    folders: list[Path] = []
    for name in figure.experiments:
        own = runs[name]
        if isinstance(own, UserError) or any(run.state is not RunState.DONE for run in own):
            return "needs runs"
        folders.extend(run.folder.root for run in own)
    try:
        stale = why_stale(figure.id, Parameters(scale, tuple(folders)))
    except UserError as error:
        return f"cannot be built: {error}"
    return stale or "built"


def _evidence(names: Sequence[str], runs: Mapping[str, Sequence[PlannedRun] | UserError]) -> str:
    """What kinds of evidence the runs of some experiments are."""
    known = [own for name in names if not isinstance(own := runs[name], UserError)]
    return ", ".join(sorted({run.spec.evidence for own in known for run in own})) or "-"


def _row(
    kind: str,
    row: FigureRow | ExperimentRow,
    evidence: str,
    state: str,
    seconds: float | None = None,
) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": row.id,
        "title": row.title,
        "place": row.place,
        "evidence": evidence,
        "state": state,
        "seconds": seconds,
    }


def render_plan(
    runs: Sequence[PlannedRun],
    absent: Sequence[LeftOut],
    expected: Mapping[str, Estimate],
    as_json: bool,
) -> str:
    """Runs in order: would it run, and why, and what it will take; then what is left out, and why.

    Parameters
    ----------
    expected : what the runs that are to be done will take, by their names.
    """
    sized = {name for name, each in expected.items() if each.bytes is not None}
    disk = needs.disk_bytes([run.spec for run in runs if run.name in sized])
    if as_json:
        rows: list[dict[str, Any]] = [
            {
                "run": run.name,
                "state": run.state.value,
                "reason": run.reason,
                "took_seconds": run.seconds,
                "predicted": asdict(expected[run.name]) if run.name in expected else None,
                "spec": run.spec.to_json(),
                "fingerprint": run.parts,
            }
            for run in runs
        ]
        rows += [{"run": _name(each), "state": LEFT_OUT, "reason": each.reason} for each in absent]
        return json.dumps(rows, indent=1)
    lines = [("run", "state", "time", "disk", "why")]
    lines += [
        (run.name, run.state.value, *_takes(expected.get(run.name)), run.reason) for run in runs
    ]
    lines += [(_name(each), LEFT_OUT, "-", "-", each.reason) for each in absent]
    told = [_table(lines), f"{len(expected)} of {len(runs)} runs to do, in this order"]
    if expected:
        known = [each for each in expected.values() if each.seconds is not None]
        if known:
            told.append(
                f"predicted on this machine: {duration(total(known))} for {len(known)} of them, "
                f"at most {size(disk)} of disk at a time"
            )
        missing = Counter(each.source for each in expected.values() if each.seconds is None)
        told += [f"not in that time, {count} runs: {why}" for why, count in missing.items()]
    return "\n".join(told)


def _takes(expected: Estimate | None) -> tuple[str, str]:
    if expected is None:
        return "-", "-"
    time, disk = expected.seconds, expected.bytes
    return (
        "unknown" if time is None else duration(time),
        "unknown" if disk is None else size(disk),
    )


def _name(absent: LeftOut) -> str:
    """What the names of its runs would begin with."""
    return f"{absent.experiment}-{absent.approach}-{absent.scale}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
