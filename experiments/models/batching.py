"""Cuts a stream of row blocks into batches that do not depend on where the blocks end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]


class Batcher:
    """Carries the rows that do not fill a batch over to the next block.

    Blocks of any size give exactly the batches that one big block would give. Batches are views
    into a block wherever one lies wholly inside it; at most ``size - 1`` rows are copied per block,
    so the caller may reuse a block's memory as soon as its batches have been consumed.

    Parameters
    ----------
    size : rows per batch.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._rest: tuple[Rows, Rows] | None = None

    def push(self, x: Rows, y: Rows) -> Iterator[tuple[Rows, Rows]]:
        """Full batches that this block completes. Must be consumed to the end."""
        start = 0
        if self._rest is not None:
            rest_x, rest_y = self._rest
            start = min(self.size - len(rest_x), len(x))
            joined = (
                np.concatenate([rest_x, x[:start]]),
                np.concatenate([rest_y, y[:start]]),
            )
            if len(joined[0]) < self.size:
                self._rest = joined
                return
            self._rest = None
            yield joined
        whole = start + (len(x) - start) // self.size * self.size
        for first in range(start, whole, self.size):
            yield x[first : first + self.size], y[first : first + self.size]
        if whole < len(x):
            self._rest = (x[whole:].copy(), y[whole:].copy())

    def flush(self) -> Iterator[tuple[Rows, Rows]]:
        """The last, smaller batch, if there is one."""
        if self._rest is not None:
            rest, self._rest = self._rest, None
            yield rest
