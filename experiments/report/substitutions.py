"""What stands here for what the paper had, as ``specs/substitutions.toml`` says."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import SpecError
from experiments.paths import SPECS
from experiments.specs.fields import Fields


@dataclass(frozen=True)
class Substitution:
    """A part of the paper's stack and ours.

    Attributes
    ----------
    below : what stands for it at the scales below the paper's.
    at_paper : the same at the paper's.
    docs : heading in ``docs/architecture.md`` that says how it works.
    experiments : whose data sets it is about; empty where it is not about data.
    datasets, paper_datasets : their data sets below and at the paper's scale.
    """

    id: str
    what: str
    paper: str
    below: str
    at_paper: str
    reason: str
    docs: str
    experiments: tuple[str, ...]
    datasets: tuple[str, ...]
    paper_datasets: tuple[str, ...]


def substitutions(path: Path = SPECS / "substitutions.toml") -> tuple[Substitution, ...]:
    """Every row of the file, in its order.

    Raises
    ------
    SpecError
        A row lacks a field or has one that nobody knows.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path}: {error}") from None
    return tuple(_row(key, Fields(row, path.name, key)) for key, row in table.items())


def _row(key: str, fields: Fields) -> Substitution:
    row = Substitution(
        id=key,
        what=fields.text("what"),
        paper=fields.text("paper"),
        below=fields.text("below"),
        at_paper=fields.text("at_paper"),
        reason=fields.text("reason"),
        docs=fields.text("docs"),
        experiments=fields.texts("experiments"),
        datasets=fields.texts("datasets"),
        paper_datasets=fields.texts("paper_datasets"),
    )
    fields.finish()
    return row
