"""The average of model states, weighted by the rows that each has seen: what MA merges by.

MADlib sums ``weights x rows`` over the segments and divides by all rows. The same is done here with
everything a state holds: weights, batch-norm statistics and Adam's moments. MADlib's moments stayed
on their segment, where the next iteration found them; a state that is averaged whole makes a run
that was interrupted the same as one that was not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from experiments.models import codec

if TYPE_CHECKING:
    from experiments.models.codec import Buffer


class Average:
    """Takes states one at a time, so that two of them are in memory at most.

    Sums are kept in float64 and do not depend on the order beyond its rounding.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._steps = 0
        self._sums: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None
        self._layout = ""

    def add(self, state: Buffer, rows: int) -> None:
        """Take a state that was trained on ``rows`` rows.

        Raises
        ------
        ValueError
            The state is damaged, or of another architecture than the first one.
        """
        part = codec.decode(state, self._layout or None)
        if self._sums is None:
            self._layout = part.layout
            self._sums = (np.zeros(part.weights.size), np.zeros(part.optimizer.size))
        if self._sums[1].size != part.optimizer.size:
            raise ValueError("model state: cannot be averaged with one that has no optimizer")
        np.add(self._sums[0], part.weights * np.float64(rows), out=self._sums[0])
        np.add(self._sums[1], part.optimizer * np.float64(rows), out=self._sums[1])
        self._rows += rows
        self._steps += part.step * rows

    def state(self) -> bytes:
        """The average; its step count is the rounded average too."""
        if self._sums is None or not self._rows:
            raise ValueError("there is nothing to average")
        weights, optimizer = ((total / self._rows).astype("<f4") for total in self._sums)
        return codec.encode([weights], [optimizer], round(self._steps / self._rows), self._layout)
