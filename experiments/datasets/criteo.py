"""Synthetic click logs in place of Criteo's, at three widths.

Rows go the real way: raw lines are made (:mod:`~experiments.datasets.criteo_lines`), then parsed
and encoded (:mod:`~experiments.datasets.criteo_encoding`). A line is made when it is asked for, so
the full size of the paper's table (about 13 million train rows) costs nothing until it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.criteo_encoding import CriteoEncoding
from experiments.datasets.criteo_lines import CriteoLines
from experiments.datasets.delimited import Origin
from experiments.datasets.slots import dense
from experiments.datasets.source import Json, RowReader, SourceInfo, Split

ROWS: Mapping[Split, int] = {"train": 13_000_000, "valid": 1_450_000}
"""The paper's 12,993,256 train rows, and a tenth of all for validation, in round numbers."""


@dataclass(frozen=True)
class CriteoSynthetic:
    """Generated click logs as a :class:`~experiments.datasets.source.Source`.

    Attributes
    ----------
    encoding : buckets and slots, which fix the number of columns.
    seed : of weights, vocabularies and rows (not of the shuffle).
    """

    encoding: CriteoEncoding
    seed: int = 0

    @property
    def info(self) -> SourceInfo:
        return SourceInfo(
            name=f"criteo-synthetic-{self.encoding.columns}",
            description="synthetic click logs in Criteo's raw format, encoded as the paper's",
            licence="Apache-2.0 (generated)",
            input_shape=(self.encoding.columns,),
            class_names=("no click", "click"),
        )

    def rows(self, split: Split) -> int:
        return ROWS[split]

    def identity(self) -> Mapping[str, Json]:
        return {
            "buckets": self.encoding.buckets,
            "slots": self.encoding.slots,
            "seed": self.seed,
        }

    def scratch_bytes(self, split: Split) -> int:
        return 0

    @contextmanager
    def open(self, split: Split, scratch: Path) -> Iterator[RowReader]:
        yield _Reader(self, split)


class _Reader:
    def __init__(self, source: CriteoSynthetic, split: Split) -> None:
        self._encoding = source.encoding
        self._lines = CriteoLines(split, source.seed)
        self._origin = Origin(f"generated {split} lines", 1, "this is a bug of the generator")

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        slots, labels = self._encoding.encode(self._lines.lines(rows), self._origin)
        return dense(slots, self._encoding.columns), labels


CRITEO_SYNTHETIC = (
    CriteoSynthetic(CriteoEncoding(buckets=10, slots=16)),
    CriteoSynthetic(CriteoEncoding(buckets=20, slots=32)),
    CriteoSynthetic(CriteoEncoding(buckets=50, slots=256)),
)
"""546, 1092 and the paper's 7306 columns."""
