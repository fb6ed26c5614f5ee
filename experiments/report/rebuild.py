"""Figures drawn anew from a crate's runs, and compared with the crate's own. Nothing is run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from experiments.analysis import notebooks
from experiments.errors import ReproduceError
from experiments.paths import ARTIFACTS_VARIABLE, NOTEBOOKS, Artifacts
from experiments.report import crate_files


@dataclass(frozen=True)
class Rebuilt:
    """A figure, drawn again.

    Attributes
    ----------
    problem : how its numbers differ, or why it could not be drawn; ``None`` where they are equal.
    """

    figure: str
    scale: str
    problem: str | None


def rebuild(crate: Path, folder: Path, notebooks_at: Path = NOTEBOOKS) -> Iterator[Rebuilt]:
    """Draw every figure of an unpacked crate into ``folder``, by its notebook, and compare."""
    old, new = Artifacts(crate), Artifacts(folder)
    with _artifacts_at(crate):
        for scale, files, names in crate_files.built(old):
            runs = tuple(old.run(name).root for name in names)
            parameters = notebooks.Parameters(scale, runs, new, notebooks_at)
            try:
                drawn = notebooks.build(files.figure_id, parameters)
            except ReproduceError as error:
                problem: str | None = str(error)
            else:
                problem = difference(files.csv, drawn.csv)
            yield Rebuilt(files.figure_id, scale, problem)


def difference(one: Path, other: Path) -> str | None:
    """The first line in which two texts differ, in words; ``None`` where there is none."""
    lines = [path.read_text(encoding="utf-8").splitlines() for path in (one, other)]
    for number, (before, now) in enumerate(zip_longest(*lines), start=1):
        if before != now:
            return f"{one.name} differs in line {number}: {_said(before)}, rebuilt {_said(now)}"
    return None


def _said(line: str | None) -> str:
    return "no such line" if line is None else repr(line)


@contextmanager
def _artifacts_at(root: Path) -> Iterator[None]:
    """What a notebook's process takes for ``artifacts/``."""
    before = os.environ.get(ARTIFACTS_VARIABLE)
    os.environ[ARTIFACTS_VARIABLE] = str(root)
    try:
        yield
    finally:
        if before is None:
            del os.environ[ARTIFACTS_VARIABLE]
        else:
            os.environ[ARTIFACTS_VARIABLE] = before
