"""What a data set must offer to be prepared: rows by number, in any order.

A new data set is one module with one class that satisfies :class:`Source`, and one line in
``registry.py``. A source whose raw files can only be read from front to back (gzip, tar) writes
fixed-size records into the scratch folder first and serves rows from there, so that memory does
not grow with the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "valid"]
SPLITS: tuple[Split, ...] = ("train", "valid")

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class SourceInfo:
    """What every row of a source has in common.

    Attributes
    ----------
    name : the data set's name in specs and folders.
    description : one line saying what the rows are and where they come from.
    licence : licence of the data (not of our code).
    input_shape : shape of one row's features, for example ``(28, 28, 1)``.
    class_names : one name per class; a row's label is an index into it.
    """

    name: str
    description: str
    licence: str
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]


class RowReader(Protocol):
    """Serves the rows of one split."""

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        """Rows by number, in the order asked for.

        Parameters
        ----------
        rows : int64 [n], numbers in ``0 … Source.rows(split)-1``.

        Returns
        -------
        x : float32 [n, \\*input_shape]
        y : int16 [n], labels

        Raises
        ------
        DataError
            A raw file is damaged; the message names it.
        """
        ...


class Source(Protocol):
    """A named data set in its raw form."""

    @property
    def info(self) -> SourceInfo: ...

    def rows(self, split: Split) -> int:
        """Number of rows of a split; known without opening a file."""
        ...

    def identity(self) -> Mapping[str, Json]:
        """Whatever fixes the rows' values: digests of raw files, a generator's parameters."""
        ...

    def scratch_bytes(self, split: Split) -> int:
        """Disk space that :meth:`open` uses in the scratch folder."""
        ...

    def open(self, split: Split, scratch: Path) -> AbstractContextManager[RowReader]:
        """Make a split's rows readable by number.

        Parameters
        ----------
        scratch : an existing empty folder that the caller removes afterwards.

        Raises
        ------
        DataError
            A raw file is missing or damaged; the message names it and how to get it.
        """
        ...
