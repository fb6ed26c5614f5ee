"""``--gantt``: a finished run as a picture and as a trace."""

from __future__ import annotations

import difflib
from pathlib import Path

from experiments.errors import SpecError
from experiments.paths import Artifacts
from experiments.specs.load import approaches

_SHOWN = 3


def gantt(name: str) -> list[Path]:
    """Draw a run into its folder; the files written.

    Parameters
    ----------
    name : of a finished run, or how only one begins.

    Raises
    ------
    SpecError
        No finished run is called so, or several begin so.
    """
    from experiments.analysis import gantt as drawing
    from experiments.analysis import lanes, output
    from experiments.analysis.runs import load
    from experiments.files import write_atomically

    folder = Artifacts().run(_finished(name))
    run = load(folder.root)
    bars = drawing.bars(run)
    title = approaches()[run.spec.approach].title
    below = lanes.lanes(run)
    heading = f"{run.name} · {run.shown}"
    notes = lanes.notes(below)
    figure = drawing.figure(bars, [run], [title], heading, notes, below)
    files = output.save(figure, bars, "gantt", folder.root)
    write_atomically(folder.trace, drawing.chrome_trace(run))
    return [*files.outputs, folder.trace]


def _finished(name: str) -> str:
    runs = Artifacts().runs
    known = sorted(path.parent.name for path in runs.glob("*/result.json"))
    if not known:
        raise SpecError(f"--gantt {name}: no run is finished yet in {runs}")
    found = [each for each in known if each.startswith(name)]
    if name in found or len(found) == 1:
        return name if name in found else found[0]
    near = found or difflib.get_close_matches(name, known, n=_SHOWN, cutoff=0.3)
    shown = ", ".join(near[:_SHOWN]) + (", …" if len(near) > _SHOWN else "")
    what = f"{len(found)} finished runs begin so" if found else "no finished run is called so"
    near_ones = f": {shown}" if near else ""
    raise SpecError(f"--gantt {name}: {what}{near_ones} (all are in {runs})")
