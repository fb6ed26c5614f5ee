"""Every figure and table as the page shows it: the files that its notebook left, or why not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from experiments.analysis.names import FigureFiles
from experiments.errors import DataError
from experiments.paths import Artifacts, RunFolder
from experiments.report.numbers import Numbers
from experiments.report.numbers import read as read_numbers
from experiments.report.pictures import Picture, embed
from experiments.report.run_folders import RunSeen
from experiments.specs.load import FigureRow, figures

NO_RUNS = "needs no runs: counted or computed by its notebook"


@dataclass(frozen=True)
class Link:
    """A file beside the page; ``address`` is relative to the page."""

    text: str
    address: str


@dataclass(frozen=True)
class FigureSeen:
    """One figure or table.

    Attributes
    ----------
    evidence : kinds of evidence of what it shows, or that it needs no runs.
    picture, numbers : None where it is not built.
    links : to its notebook, CSV, PDF and picture, those that exist.
    journals : of the runs that it was made from, those that exist.
    state : why it is not shown, or what of it is missing; empty where nothing is.
    """

    id: str
    title: str
    place: str
    evidence: tuple[str, ...]
    picture: Picture | None
    numbers: Numbers | None
    links: tuple[Link, ...]
    journals: tuple[Link, ...]
    state: str

    @property
    def alt(self) -> str:
        """What the picture shows, for who cannot see it."""
        return f"{self.place}: {self.title}. Its numbers are in the table below it."


def seen(scale: str, runs: Mapping[str, RunSeen], artifacts: Artifacts) -> tuple[FigureSeen, ...]:
    """All figures and tables, in the order of ``figures.toml``.

    Parameters
    ----------
    runs : run folders by name.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # pictures take most of the time
        return tuple(pool.map(lambda row: _seen(row, scale, runs, artifacts), figures().values()))


def link(text: str, path: Path, artifacts: Artifacts) -> Link:
    """A link from the page to a file below ``artifacts/``."""
    return Link(text, "../" + quote(path.relative_to(artifacts.root).as_posix()))


def _seen(
    row: FigureRow, scale: str, runs: Mapping[str, RunSeen], artifacts: Artifacts
) -> FigureSeen:
    files = FigureFiles(row.id, artifacts.figures(scale))
    made_from, state = _made_from(files, row)
    picture, numbers = None, None
    if made_from is not None:
        try:
            numbers = read_numbers(files.csv)
            picture = embed(files.png)
        except DataError as error:
            state = str(error)
    own = [runs[name] for name in made_from or () if name in runs]
    kinds = dict.fromkeys([*(numbers.evidence if numbers else ()), *(run.evidence for run in own)])
    notebook = artifacts.notebooks(scale) / f"{row.id}.ipynb"
    whole = (("notebook", notebook), ("CSV", files.csv), ("PDF", files.pdf), ("PNG", files.png))
    return FigureSeen(
        id=row.id,
        title=row.title,
        place=row.place,
        evidence=tuple(filter(None, kinds)) or (() if row.experiments else (NO_RUNS,)),
        picture=picture,
        numbers=numbers,
        links=tuple(link(text, path, artifacts) for text, path in whole if path.exists()),
        journals=tuple(
            link(run.name, RunFolder(run.folder).journal, artifacts)
            for run in own
            if RunFolder(run.folder).journal.exists()
        ),
        state=state,
    )


def _made_from(files: FigureFiles, row: FigureRow) -> tuple[tuple[str, ...] | None, str]:
    """Names of the runs behind a figure, None where it is not built; and why it is not."""
    if not files.sidecar.exists():
        needs = f"needs runs of {', '.join(row.experiments)}" if row.experiments else NO_RUNS
        return None, f"not built yet ({needs})"
    try:
        state = json.loads(files.sidecar.read_text(encoding="utf-8"))
        return tuple(map(str, state["fingerprint"]["runs"])), ""
    except (OSError, ValueError, KeyError, TypeError):
        return None, f"{files.sidecar.name} is damaged: --figure {row.id} builds it again"
