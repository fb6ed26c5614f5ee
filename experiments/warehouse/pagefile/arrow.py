"""Batches of a scan as Apache Arrow's, around the same memory where Arrow keeps values so, too.

Numbers, text and bytes are not copied. Booleans and nulls become bits, and the elements of arrays
are moved together, since Arrow has no header before each array.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from experiments.errors import DataError
from experiments.warehouse.pagefile import varlena
from experiments.warehouse.pagefile.catalog import ARRAYS, ELEMENT_OIDS, FIXED, Column
from experiments.warehouse.pagefile.native import Ints
from experiments.warehouse.pagefile.tuples import gather
from experiments.warehouse.pagefile.values import Batch, Fixed, Mask, Variable

_TEXT = ("text", "varchar", "bpchar")
_HEADER = 20
"""Bytes before the elements of an array of one dimension and no nulls, its length word aside:
dimensions, offset of the null bitmap, element type, size, lower bound (``ArrayType``)."""


def schema(table: str, columns: Sequence[Column], encoding: str) -> pa.Schema:
    """Fields of some columns, all nullable.

    Raises
    ------
    DataError
        Text in another encoding than Arrow's.
    """
    for column in columns:
        if column.kind in _TEXT and encoding != "UTF8":
            raise DataError(
                f"column {column.name!r} of table {table} is text in {encoding}; Arrow's is UTF8"
            )
    return pa.schema([(column.name, _type(column.kind)) for column in columns])


def batches(
    table: str, form: pa.Schema, columns: Sequence[Column], scanned: Iterable[Batch]
) -> Iterator[pa.RecordBatch]:
    """Each batch of a scan as a record batch.

    Raises
    ------
    DataError
        An array that Arrow's lists cannot hold, or what the scan raises.
    """
    for batch in scanned:
        arrays = []
        for column in columns:
            try:
                arrays.append(_array(batch.columns[column.name], column.kind))
            except ValueError as error:
                raise DataError(f"column {column.name!r} of table {table}: {error}") from None
        yield pa.RecordBatch.from_arrays(arrays, schema=form)


def _type(kind: str) -> pa.DataType:
    if kind in FIXED:
        return pa.from_numpy_dtype(np.dtype(FIXED[kind]))
    if kind in ARRAYS:
        return pa.large_list(_type(ARRAYS[kind]))
    return pa.large_utf8() if kind in _TEXT else pa.large_binary()


def _array(column: Fixed | Variable, kind: str) -> pa.Array:
    if isinstance(column, Fixed):
        return _numbers(column.values, column.nulls)
    validity = _validity(column.nulls)
    if kind in ARRAYS:
        offsets, elements = _elements(column, ARRAYS[kind])
        return pa.Array.from_buffers(
            _type(kind), len(column), [validity, pa.py_buffer(offsets)], children=[elements]
        )
    offsets, data = pa.py_buffer(column.offsets), pa.py_buffer(column.data)
    return pa.Array.from_buffers(_type(kind), len(column), [validity, offsets, data])


def _numbers(values: npt.NDArray[Any], nulls: Mask) -> pa.Array:
    kind = pa.from_numpy_dtype(values.dtype)
    data = _bits(values) if values.dtype == np.bool_ else pa.py_buffer(values)
    return pa.Array.from_buffers(kind, len(values), [_validity(nulls), data])


def _validity(nulls: Mask) -> pa.Buffer | None:
    return _bits(~nulls) if nulls.any() else None


def _bits(flags: Mask) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _elements(column: Variable, element: str) -> tuple[Ints, pa.Array]:
    """Where each row's elements begin and end, and all elements."""
    dtype = np.dtype(FIXED[element])
    starts = column.offsets[:-1]
    full = np.flatnonzero(np.diff(column.offsets) >= _HEADER)
    heads = column.data[starts[full, None] + np.arange(_HEADER)].view("<i4")
    dimensions, bitmap, kind, count = heads[:, :4].T.astype(np.int64)
    if (dimensions != 1).any():
        raise ValueError("an array of several dimensions is no list")
    if bitmap.any() or (kind != ELEMENT_OIDS[element]).any():
        raise ValueError("only arrays of numbers without nulls can be lists")
    sizes = np.zeros(len(column), np.int64)
    sizes[full] = count * dtype.itemsize
    if (starts[full] + _HEADER + sizes[full] != column.offsets[full + 1]).any():
        raise ValueError("an array has another length than it says")
    ends = np.cumsum(sizes)
    out = np.empty(int(sizes.sum()), np.uint8)
    plain = np.full(len(column), varlena.PLAIN, np.uint8)
    gather(column.data, plain, starts + _HEADER, sizes, ends - sizes, out)
    offsets = np.concatenate([[0], ends // dtype.itemsize])
    elements = out.view(dtype)
    return offsets, _numbers(elements, np.zeros(len(elements), np.bool_))
