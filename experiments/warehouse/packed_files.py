"""Packed tables read from their page files: which buffers there are, and their rows as arrays."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experiments.errors import DataError
from experiments.models.worker import Rows
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import Segment
from experiments.warehouse.failures import translated
from experiments.warehouse.pagefile import Batch, Fixed, Table, Variable, open_table

CONNECT_SECONDS = 5.0
ALIGNMENT = 64
"""Bytes; frameworks take arrays that begin so without a copy of their own."""

_SHAPES = ("independent_var_shape", "dependent_var_shape")
_VALUES = ("independent_var", "dependent_var")


@dataclass(frozen=True)
class Buffer:
    """One row of a packed table.

    Attributes
    ----------
    number : its ``buffer_id``.
    x_shape, y_shape : (rows, …) of its float32 features and its int16 one-hot labels.
    """

    number: int
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]

    @property
    def rows(self) -> int:
        return self.y_shape[0]

    @property
    def bytes(self) -> int:
        return 4 * math.prod(self.x_shape) + 2 * math.prod(self.y_shape)


@contextlib.contextmanager
def opened(cluster: Cluster, segment: Segment, table: str) -> Iterator[Table]:
    """A segment's table, open for reading from its files.

    Raises
    ------
    ServerDied
        The segment does not answer, or went away inside the block.
    UserError
        What :func:`~experiments.warehouse.pagefile.open_table` raises.
    """
    with (
        translated(f"segment {segment.key}"),
        contextlib.closing(cluster.connect(segment, patience=CONNECT_SECONDS)) as session,
        open_table(session, table) as there,
    ):
        yield there


def buffers(table: Table) -> tuple[Buffer, ...]:
    """The buffers of a packed table, in the order of its pages, which need not be theirs.

    Raises
    ------
    DataError
        They are not those that packing makes, or a page is damaged.
    """
    found = []
    for batch in table.scan(["buffer_id", *_SHAPES]):
        numbers = _numbers(table, batch)
        x, y = (_variable(table, batch, name) for name in _SHAPES)
        found += [
            Buffer(number, tuple(x.array(row).tolist()), tuple(y.array(row).tolist()))
            for row, number in enumerate(numbers)
        ]
    if sorted(each.number for each in found) != list(range(len(found))):
        raise _odd(table, "its buffers are not numbered from 0 without gaps")
    return tuple(found)


def rows(
    table: Table,
    known: Sequence[Buffer],
    batch_bytes: int,
    allocate: Callable[[int], npt.NDArray[np.uint8]],
    start: int = 0,
    stop: int | None = None,
) -> Iterator[tuple[Buffer, Rows]]:
    """Buffers with their rows, views of what ``allocate`` gave.

    Parameters
    ----------
    known : what :func:`buffers` found.
    batch_bytes, allocate, start, stop : as for a table's ``scan``.

    Raises
    ------
    DataError
        The table has been changed since, or its files are damaged.
    """
    at = start
    for batch in table.scan(["buffer_id", *_VALUES], batch_bytes, allocate, start, stop):
        xs, ys = (_variable(table, batch, name) for name in _VALUES)
        for row, number in enumerate(_numbers(table, batch)):
            x, y = xs[row], ys[row]
            if at == len(known) or known[at].number != number:
                raise _odd(table, "its rows are not those that it had before")
            buffer = known[at]
            if len(x) + len(y) != buffer.bytes or len(y) != 2 * math.prod(buffer.y_shape):
                raise _odd(table, f"the shape of buffer {number} is not that of its values")
            yield (
                buffer,
                (
                    x.view(np.float32).reshape(buffer.x_shape),
                    y.view(np.int16).reshape(buffer.y_shape),
                ),
            )
            at += 1


class Arena:
    """One piece of memory that a scan fills from its start: the only copy of what it reads."""

    def __init__(self, size: int) -> None:
        self._memory = np.empty(size + ALIGNMENT, np.uint8)
        self._next = -self._memory.ctypes.data % ALIGNMENT

    @classmethod
    def of(cls, held: Sequence[Buffer]) -> Arena:
        """Large enough for these buffers, in however many batches."""
        return cls(sum(each.bytes for each in held) + 2 * ALIGNMENT * len(held))

    def allocate(self, size: int) -> npt.NDArray[np.uint8]:
        """The next ``size`` bytes; memory elsewhere when a batch that was read twice used it up."""
        start, end = self._next, self._next + size
        if end > len(self._memory):
            return np.empty(size, np.uint8)
        self._next = end + -size % ALIGNMENT
        return self._memory[start:end]


def _numbers(table: Table, batch: Batch) -> list[int]:
    column = batch.columns["buffer_id"]
    if not isinstance(column, Fixed) or column.nulls.any():
        raise _odd(table, "a buffer has no number")
    found: list[int] = column.values.tolist()
    return found


def _variable(table: Table, batch: Batch, name: str) -> Variable:
    column = batch.columns[name]
    if not isinstance(column, Variable) or column.nulls.any():
        raise _odd(table, f"{name} is empty or of another type")
    return column


def _odd(table: Table, reason: str) -> DataError:
    return DataError(
        f"{table.catalog.heap}: table {table.catalog.table}: {reason}: give the same command with "
        "--fresh, which packs it anew"
    )
