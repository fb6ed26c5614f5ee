"""Rows of which few columns are one: the numbers of those columns, and the dense rows they mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NOTHING = -1
"""In place of a column's number: sets nothing."""


def dense(slots: NDArray[np.int16], columns: int) -> NDArray[np.float32]:
    """Rows of zeros and ones.

    Parameters
    ----------
    slots : int16 [n, k], columns that are one, or :data:`NOTHING`.
    columns : of a dense row.

    Returns
    -------
    float32 [n, columns]
    """
    rows = np.zeros((len(slots), columns), np.float32)
    line, place = np.nonzero(slots != NOTHING)
    rows[line, slots[line, place]] = 1
    return rows
