"""Names of a figure's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FigureFiles:
    """The files of one figure in one folder, written or not.

    Attributes
    ----------
    sidecar : what the figure was made from; written last.
    """

    figure_id: str
    folder: Path

    @property
    def png(self) -> Path:
        return self.folder / f"{self.figure_id}.png"

    @property
    def pdf(self) -> Path:
        return self.folder / f"{self.figure_id}.pdf"

    @property
    def csv(self) -> Path:
        return self.folder / f"{self.figure_id}.csv"

    @property
    def sidecar(self) -> Path:
        return self.folder / f"{self.figure_id}.json"

    @property
    def outputs(self) -> tuple[Path, Path, Path]:
        """What a reader looks at."""
        return (self.png, self.pdf, self.csv)
