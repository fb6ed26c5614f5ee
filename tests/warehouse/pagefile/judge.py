"""The server as the judge: what COPY gives for a table, and the same made of what a scan gives."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.datasets.copy_binary import SIGNATURE
from experiments.warehouse.pagefile import Batch, Fixed, Table, Variable
from experiments.warehouse.pagefile.catalog import ELEMENT_OIDS

Row = tuple[bytes | None, ...]


def said_by_server(connection: Any, table: str, columns: str = "*") -> list[Row]:
    """All rows as binary COPY sends them, in the order of the pages."""
    stream = io.BytesIO()
    with connection.cursor() as cursor:
        cursor.copy_expert(
            f"COPY (SELECT {columns} FROM {table}) TO STDOUT (FORMAT binary)", stream
        )
    stream.seek(0)
    assert stream.read(len(SIGNATURE)) == SIGNATURE
    rows: list[Row] = []
    while (fields := int.from_bytes(stream.read(2), "big", signed=True)) >= 0:
        sizes_and_values = []
        for _ in range(fields):
            size = int.from_bytes(stream.read(4), "big", signed=True)
            sizes_and_values.append(None if size < 0 else stream.read(size))
        rows.append(tuple(sizes_and_values))
    return rows


def read_from_pages(
    table: Table, batch_bytes: int = 2**26, start: int = 0, stop: int | None = None
) -> list[Row]:
    """The same rows by our reader."""
    kinds = {column.name: column.kind for column in table.columns}
    scanned = table.scan(batch_bytes=batch_bytes, start=start, stop=stop)
    return [row for batch in scanned for row in _rows(batch, kinds)]


def _rows(batch: Batch, kinds: dict[str, str]) -> list[Row]:
    return [
        tuple(_value(column, kinds[name], row) for name, column in batch.columns.items())
        for row in range(batch.rows)
    ]


def _value(column: Fixed | Variable, kind: str, row: int) -> bytes | None:
    if column.nulls[row]:
        return None
    if isinstance(column, Fixed):
        return _swapped(column.values[row : row + 1])
    return column[row].tobytes() if kind[0] != "_" else array_sent(column.array(row), kind[1:])


def array_sent(values: npt.NDArray[Any], element: str) -> bytes:
    """As ``array_send`` does."""
    dimensions = values.ndim if values.size else 0
    header = [dimensions, 0, ELEMENT_OIDS[element]]
    for size in values.shape[:dimensions]:
        header += [size, 1]
    out = np.array(header, ">i4").tobytes()
    for value in values.reshape(-1):
        data = _swapped(np.array([value], values.dtype))
        out += len(data).to_bytes(4, "big") + data
    return out


def _swapped(value: npt.NDArray[Any]) -> bytes:
    return value.astype(value.dtype.newbyteorder(">")).tobytes()
