"""The tables of docs/artifact.md: experiments with what they take, and claims with where to look.

What experiments took is a machine's own, so it lies in ``docs/artifact.json`` and is written where
``--readme`` is given; the page fits or does not fit that file, on whatever machine it is checked.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from experiments.cli.readme import with_section
from experiments.errors import UserError
from experiments.files import write_atomically
from experiments.paths import APPENDIX, TIMES, Artifacts
from experiments.report.foretold import took
from experiments.report.words import duration, size
from experiments.runner import needs
from experiments.runner.estimate import predict
from experiments.runner.plan import PlannedRun, RunState, plan
from experiments.specs import claims
from experiments.specs.claim import Claim
from experiments.specs.load import experiments, figures

EXPERIMENTS, CLAIMS = "experiments", "claims"
"""The sections' names, in the marks around them."""

SCALES = ("smoke", "laptop")
"""That a reviewer's machine carries."""

COMMAND_MINUTES, FIGURE_MINUTES = 1, 2
"""Of a person: to give an experiment's command, and to look at each figure. Judged, not timed."""


def rewrite(scale: str, runtime: str, page: Path = APPENDIX, times: Path = TIMES) -> list[Path]:
    """Put what this scale takes on this machine into ``times``, and the tables into the page.

    A scale that no reviewer's machine carries leaves ``times`` as it is.
    """
    known = _read(times)
    if scale in SCALES:
        known[scale] = measured(scale, runtime)
    write_atomically(times, json.dumps(known, indent=1) + "\n")
    write_atomically(page, page_text(known, _claims(), page))
    return [times, page]


def problems(page: Path = APPENDIX, times: Path = TIMES) -> Iterator[str]:
    """What does not fit the specs and ``times``, one line each."""
    if page.read_text(encoding="utf-8") != page_text(_read(times), _claims(), page):
        yield f"{page}: its tables are not what the specs and {times.name} say: give --readme"


def page_text(times: Mapping[str, Any], rows: Sequence[Claim], page: Path) -> str:
    """The page with its tables as they are to be."""
    text = with_section(page, EXPERIMENTS, experiments_table(times, rows))
    return with_section(page, CLAIMS, claims_table(rows), text)


def experiments_table(times: Mapping[str, Any], rows: Sequence[Claim]) -> str:
    """One line an experiment: figures, claims, a person's minutes, a machine's, and disk."""
    heads = ["experiment", "figures", "claims", "you", *SCALES]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for name in experiments():
        drawn = [f"`{row.id}`" for row in figures().values() if name in row.experiments]
        decided = [row.id for row in rows if name in row.needs]
        person = COMMAND_MINUTES + FIGURE_MINUTES * len(drawn)
        takes = [_takes(times.get(scale, {}).get("experiments", {}).get(name)) for scale in SCALES]
        lines.append(
            _line([f"`{name}`", ", ".join(drawn), ", ".join(decided), f"{person} min", *takes])
        )
    for scale in SCALES:
        told = times.get(scale)
        if told:
            lines += ["", f"{scale}: {told['machine']}."]
    return "\n".join(lines) + "\n"


def claims_table(rows: Sequence[Claim]) -> str:
    """One line a claim: what it says, where the paper makes it, what decides it here."""
    heads = ["claim", "in a few words", "in the paper", "experiments", "figures"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in rows:
        needed = ", ".join(f"`{name}`" for name in row.needs)
        shown = ", ".join(f"`{name}`" for name in row.figures)
        lines.append(_line([row.id, row.title, row.place, needed or "none", shown or "none"]))
    return "\n".join(lines) + "\n"


def measured(scale: str, runtime: str) -> dict[str, Any]:
    """What each experiment takes here: of finished runs, else as predicted."""
    found: dict[str, Any] = {}
    for name in experiments():
        try:
            runs = plan([name], scale, runtime=runtime)
        except UserError as error:  # what waits for this machine's own table, before the pilot
            found[name] = {"runs": 0, "seconds": None, "bytes": None, "source": str(error)}
            continue
        expected = predict(runs)
        times = [_seconds(run, expected) for run in runs]
        unknown = any(seconds is None for seconds in times)
        found[name] = {
            "runs": len(runs),
            "seconds": None if unknown else sum(filter(None, times)),
            "bytes": needs.disk_bytes([run.spec for run in runs], anew=True),
            "source": "predicted" if expected else "measured",
        }
    memory = round(psutil.virtual_memory().total / 2**30)
    machine = f"{os.cpu_count()} cores ({platform.machine()}), {memory} GiB, runtime {runtime}"
    return {"machine": machine, "experiments": found}


def _seconds(run: PlannedRun, expected: Mapping[str, Any]) -> float | None:
    if run.state is RunState.DONE:
        return took(Artifacts(), run.name)
    seconds: float | None = expected[run.name].seconds
    return seconds


def _takes(told: Mapping[str, Any] | None) -> str:
    """For example ``2 min 05 s, 120 MiB (9 runs, predicted)``."""
    if not told or told["bytes"] is None:
        return "not known yet"
    time = "time not known yet" if told["seconds"] is None else duration(told["seconds"])
    predicted = ", predicted" if told["source"] == "predicted" and told["seconds"] else ""
    return f"{time}, {size(told['bytes'])} ({told['runs']} runs{predicted})"


def _claims() -> Sequence[Claim]:
    return list(claims.load().claims.values())


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _read(times: Path) -> dict[str, Any]:
    return dict(json.loads(times.read_text(encoding="utf-8"))) if times.exists() else {}
