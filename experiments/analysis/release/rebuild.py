"""Everything that the authors' own logs give: tables as CSV, figures, a list of what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from experiments.analysis import output
from experiments.analysis.names import FigureFiles
from experiments.analysis.reference import Reference
from experiments.analysis.release import cost_figures, curve_figures, finder, tables
from experiments.analysis.release.curve_figures import Drawn
from experiments.analysis.release.reading import Logs
from experiments.files import write_atomically
from experiments.specs.release_logs import ReleaseLogs

FIGURES: Mapping[str, str] = {
    "9a": "Figure 9A",
    "9b": "Figure 9B",
    "9c": "Figure 9C",
    "table6": "Table 6",
    "10": "Figure 10A",
    "11": "Figure 11A",
    "12": "Figure 12",
    "table7": "Table 7",
}
"""What can be made of the logs: the names of the files, and what it is."""


@dataclass(frozen=True)
class Rebuilt:
    """What was made.

    Attributes
    ----------
    written : every file.
    drawn : ids of the figures and tables.
    missing : what was not made of what the paper has, and why.
    """

    tables: Mapping[str, pd.DataFrame]
    written: tuple[Path, ...]
    drawn: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]


def rebuild(
    logs: Logs, spec: ReleaseLogs, references: Mapping[str, Reference], out_dir: Path
) -> Rebuilt:
    """Write all tables and figures into ``out_dir``, which is made if missing.

    Figures of an earlier folder of logs that these do not give are removed.
    """
    found = _tables(logs, spec)
    drawings = figures(found, spec, references)
    out_dir.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    drawn: list[str] = []
    for figure_id, draw in drawings.items():
        files = FigureFiles(figure_id, out_dir)
        for stale in files.outputs:
            stale.unlink(missing_ok=True)
        made = draw()
        if made is not None:
            output.save(*made, figure_id, out_dir)
            written += files.outputs
            drawn.append(figure_id)
    missing = _missing(logs, spec, found, drawn)
    found["missing"] = pd.DataFrame(missing, columns=["what", "why"])
    for name, table in found.items():
        path = out_dir / f"{name}.csv"
        write_atomically(path, table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
        written.append(path)
    return Rebuilt(found, tuple(written), tuple(drawn), tuple(missing))


def figures(
    found: Mapping[str, pd.DataFrame], spec: ReleaseLogs, references: Mapping[str, Reference]
) -> Mapping[str, Callable[[], Drawn | None]]:
    """What draws each of :data:`FIGURES`; it gives nothing where the logs have nothing for it."""
    return {
        "9a": lambda: curve_figures.fig_9a(found["curves"], spec, references),
        "9b": lambda: cost_figures.breakdown("9b", found["parts"], spec, references),
        "9c": lambda: cost_figures.breakdown("9c", found["parts"], spec, references),
        "table6": lambda: cost_figures.table_6(found["times"], found["used"], spec, references),
        "10": lambda: curve_figures.fig_10(found["times"], spec, references),
        "11": lambda: curve_figures.fig_11(found["times"], spec, references),
        "12": lambda: curve_figures.fig_12(found["curves"], spec, references),
        "table7": lambda: cost_figures.table_7(
            found["times"], found["used"], found["curves"], spec, references
        ),
    }


def _tables(logs: Logs, spec: ReleaseLogs) -> dict[str, pd.DataFrame]:
    times, samples = tables.times(logs, spec), tables.sampled(logs, spec)
    typed = pd.DataFrame(spec.typed, columns=["of", "value", "instead"])
    return {
        "times": times,
        "curves": tables.curves(logs, spec),
        "parts": tables.parts(logs, spec),
        "samples": samples,
        "used": tables.used(samples, times),
        "files": tables.files(logs),
        "damaged": tables.damaged(logs),
        "typed": typed.assign(evidence="typed in by the release, not used"),
    }


def _missing(
    logs: Logs, spec: ReleaseLogs, found: Mapping[str, pd.DataFrame], drawn: list[str]
) -> list[tuple[str, str]]:
    """What is not there: figures without logs, runs that the folder lacks, what no log has."""
    missing = []
    for figure_id, name in FIGURES.items():
        if figure_id not in drawn:
            of = [each.title for each in spec.experiments if figure_id in each.figures]
            missing.append((name, f"the folder has no logs for it of: {'; '.join(of)}"))
    there = set(
        zip(
            found["times"]["experiment"],
            found["times"]["workers"],
            found["times"]["approach"],
            strict=True,
        )
    )
    for experiment in spec.experiments:
        if not any(each[0] == experiment.id for each in there):
            continue
        for workers, stamps in experiment.stamps.items():
            lacking = [
                f"{spec.approaches[name].title} ({stamp})"
                for name, stamp in stamps.items()
                if (experiment.id, workers, name) not in there
            ]
            if lacking:
                missing.append(
                    (
                        f"{experiment.title}, W = {workers}: {', '.join(lacking)}",
                        "no global.log of these runs, or no end in it",
                    )
                )
    pickles = [each for each, _ in logs.files if each.kind == finder.PICKLE]
    if pickles:
        example = pickles[0].shown
        missing.append((f"{len(pickles)} pickles, {example} among them", finder.REFUSED))
    missing += [(each["what"], each["why"]) for each in spec.lost]
    return missing
