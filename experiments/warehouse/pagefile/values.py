"""What a scan gives: columns of values, nulls beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.warehouse.pagefile.catalog import ELEMENT_OIDS, FIXED
from experiments.warehouse.pagefile.native import Bytes, Ints

_ELEMENTS = {oid: np.dtype(FIXED[name]) for name, oid in ELEMENT_OIDS.items()}

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fixed:
    """Values of a type of fixed length.

    Attributes
    ----------
    values : [rows]; zero where null.
    nulls : bool [rows].
    """

    values: npt.NDArray[Any]
    nulls: Mask

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Variable:
    """Values of a type of variable length, one after the other.

    Attributes
    ----------
    offsets : int64 [rows + 1]; value i is ``data[offsets[i]:offsets[i + 1]]``, empty where null.
    data : uint8 [bytes].
    nulls : bool [rows].
    """

    offsets: Ints
    data: Bytes
    nulls: Mask

    def __len__(self) -> int:
        return len(self.nulls)

    def __getitem__(self, row: int) -> Bytes:
        """A value's bytes, a view."""
        return self.data[self.offsets[row] : self.offsets[row + 1]]

    def array(self, row: int) -> npt.NDArray[Any]:
        """The value of an array column, a view (``ArrayType`` of ``array.h``).

        Raises
        ------
        ValueError
            An array with null elements, or of elements other than fixed-length numbers.
        """
        value = self[row]
        dimensions, offset, kind = value[:12].view("<i4").tolist()
        if offset or kind not in _ELEMENTS:
            raise ValueError("only arrays of numbers without nulls can be viewed")
        shape = value[12 : 12 + 4 * dimensions].view("<i4").tolist()
        start = -(-(16 + 8 * dimensions) // 8) * 8 - 4
        if dimensions == 0:
            return np.zeros(0, _ELEMENTS[kind])
        elements = np.frombuffer(value[start:].data, _ELEMENTS[kind])
        return elements.reshape(shape)


@dataclass(frozen=True)
class Batch:
    """Some rows of a table, in the order of its pages; every column has as many values."""

    rows: int
    columns: Mapping[str, Fixed | Variable]
