"""Figures and their numbers as files: the same input gives the same bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis.names import FigureFiles
from experiments.files import write_atomically

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "axes.unicode_minus": False,
}
"""Matplotlib's settings for every figure, while it is drawn and while it is written."""

DPI = 200


def save(figure: Figure, table: pd.DataFrame, figure_id: str, out_dir: Path) -> FigureFiles:
    """Write ``<id>.png`` (200 dpi), ``<id>.pdf`` and ``<id>.csv``, each whole or not at all.

    No file holds a time stamp. ``out_dir`` is made if missing.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    saved = FigureFiles(figure_id, out_dir)
    with mpl.rc_context(RC):
        png, pdf = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
    write_atomically(saved.png, png.getvalue())
    write_atomically(saved.pdf, pdf.getvalue())
    write_atomically(saved.csv, table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
    return saved
