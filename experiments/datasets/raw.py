"""What a data set must offer to be read from its raw downloads, once, front to back.

Archives (tar, gzip) cannot be read row by row in any order, so they are *ingested* first: one pass
turns them into records of fixed size in raw order (:mod:`experiments.datasets.ingest`), from which
rows are then had by number. A record is compact (an image's bytes, a click's active columns); it
becomes a dense row only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.source import Json, SourceInfo, Split

Records: TypeAlias = tuple[NDArray[Any], NDArray[np.int16]]
"""Compact rows [n, \\*record_shape] of ``record_dtype``, and their labels int16 [n]."""


@dataclass(frozen=True)
class Rejected:
    """A row that was left out.

    Attributes
    ----------
    file : the raw file.
    where : its place there, for example ``line 17`` or ``member n01440764_18.JPEG``.
    why : what is wrong with it, so that "FILE, WHERE WHY" reads as a sentence.
    content : the row itself if it is short, to be kept aside.
    """

    file: str
    where: str
    why: str
    content: bytes = b""


@dataclass(frozen=True)
class Block:
    """The next rows in raw order.

    Attributes
    ----------
    rows : of each split, if there are any.
    cursor : where to go on after this block; given back to :meth:`RawData.blocks` on resume.
    position : bytes of raw files read up to here, of :meth:`RawData.size`; for progress.
    rejected : rows that were left out.
    noted : how many rows needed which care, for example ``{"CMYK": 2}``.
    """

    rows: Mapping[Split, Records]
    cursor: Json
    position: int
    rejected: tuple[Rejected, ...] = ()
    noted: Mapping[str, int] = field(default_factory=dict)


class RawData(Protocol):
    """A data set as it is downloaded."""

    @property
    def info(self) -> SourceInfo: ...

    @property
    def record_dtype(self) -> str:
        """Of a compact row."""
        ...

    @property
    def record_shape(self) -> tuple[int, ...]:
        """Of a compact row."""
        ...

    @property
    def rejects_allowed(self) -> float:
        """Share of rows above which rejected ones stop the run."""
        ...

    def identity(self) -> Mapping[str, Json]:
        """Whatever fixes the records: names and sizes of raw files, sampling, seed."""
        ...

    def check(self) -> None:
        """Look for all raw files without reading them through.

        Raises
        ------
        DataError
            Some are missing or have another size: names each, where it comes from, the folder in
            which it is expected, and what can be run without it.
        """
        ...

    def size(self) -> int:
        """Bytes of all raw files that are read."""
        ...

    def blocks(self, cursor: Json) -> Iterator[Block]:
        """All rows in raw order, in blocks of a few megabytes; from ``cursor`` on if not None.

        The same rows come in the same order whether it is resumed or not.

        Raises
        ------
        DataError
            A file is damaged such that it cannot be read on; names it and the offset or line.
        """
        ...

    def dense(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Records as model input.

        Parameters
        ----------
        x : [n, \\*record_shape] of ``record_dtype``

        Returns
        -------
        float32 [n, \\*info.input_shape]
        """
        ...
