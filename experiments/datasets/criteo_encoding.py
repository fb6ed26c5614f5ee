"""From lines of the Criteo click logs to active slots, as the original release encoded them.

A line is tab separated: a label, 13 integer counts, 26 categories of 8 hexadecimal digits; any
count or category may be missing (empty). The encoding is that of ``preprocessing_criteo.py``:

* a count is one-hot over b buckets whose lower bounds are ``1.5^j − 0.51``, j = 0 … b-1, for the
  paper's b = 50; fewer buckets span the same range in longer steps. A count below the first bound
  (zero, negative or missing) sets nothing.
* a category is one-hot over m slots by its Murmur3 hash modulo m. A missing one is hashed as "0",
  since the release filled gaps with 0.

Columns: 13·b buckets, then 26·m slots; b = 50 and m = 256 give the paper's 7306.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.delimited import Fields, Origin
from experiments.datasets.slots import NOTHING

COUNTS = 13
CATEGORIES = 26
CATEGORY_BYTES = 8
FIELDS = 1 + COUNTS + CATEGORIES

_FULL_BUCKETS = 50
_MISSING = "0"


@dataclass(frozen=True)
class CriteoEncoding:
    """How many columns each field gets.

    Attributes
    ----------
    buckets : b, slots of each count.
    slots : m, slots of each category: a power of two, so that the hash's sign does not matter.
    """

    buckets: int
    slots: int

    @property
    def columns(self) -> int:
        return COUNTS * self.buckets + CATEGORIES * self.slots

    @cached_property
    def least(self) -> NDArray[np.int64]:
        """The least integer in each bucket, int64 [buckets].

        No bound is so near an integer that rounding could move it (a test holds this).
        """
        step = _FULL_BUCKETS / self.buckets
        bounds = (1.5 ** (step * j) - 0.51 for j in range(self.buckets))
        return np.array([math.ceil(bound) for bound in bounds], np.int64)

    def encode(self, block: bytes, origin: Origin) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Labels and active slots of whole lines.

        Parameters
        ----------
        block : lines, each ended by a newline.
        origin : what a bad line is called.

        Returns
        -------
        slots : int16 [lines, 39], columns that are one, or ``NOTHING``.
        labels : int16 [lines], 0 or 1.

        Raises
        ------
        DataError
            A line with other than 40 fields, a count that is no integer, a category of more than
            8 bytes or a label other than 0 and 1; names the line.
        """
        fields = Fields.of(block, "\t", FIELDS, origin)
        labels, categories = fields[0], fields[1 + COUNTS :]
        counts = fields[1 : 1 + COUNTS]
        clicked = labels.equal("1")
        values, valid = counts.integers()
        for wrong, what in (
            (~(clicked | labels.equal("0")), "has a label other than 0 and 1"),
            (~valid & (counts.lengths > 0), "has a count that is no integer"),
            (categories.lengths > CATEGORY_BYTES, "has a category of more than 8 bytes"),
        ):
            if wrong.any():
                raise origin.bad(int(np.argmax(wrong.any(axis=1))), what)
        bucket = np.searchsorted(self.least, values, side="right") - 1
        bucket = np.where(bucket < 0, NOTHING, bucket + self.buckets * np.arange(COUNTS))
        hashes = categories.hashes(CATEGORY_BYTES, _MISSING) % np.uint32(self.slots)
        first = COUNTS * self.buckets + self.slots * np.arange(CATEGORIES)
        slots = np.concatenate([bucket, first + hashes], axis=1).astype(np.int16)
        return slots, clicked[:, 0].astype(np.int16)
