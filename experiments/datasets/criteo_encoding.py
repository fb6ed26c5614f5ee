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

from experiments.datasets.delimited import Fields, Origin, uneven
from experiments.datasets.slots import NOTHING

COUNTS = 13
CATEGORIES = 26
CATEGORY_BYTES = 8
FIELDS = 1 + COUNTS + CATEGORIES

_FULL_BUCKETS = 50
_MISSING = "0"
_SMALL = 1 << 12
_NEWLINE = ord("\n")


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

    @cached_property
    def _small(self) -> NDArray[np.int64]:
        """The bucket of each small count, -1 where there is none: most need no search."""
        return np.searchsorted(self.least, np.arange(_SMALL), side="right") - 1

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
            A line is bad, as :meth:`sift` says; names the first.
        """
        if block and not block.endswith(b"\n"):
            raise origin.bad(block.count(b"\n"), "is cut off")
        sifted = self.sift(block)
        for index, how in sorted(sifted.bad.items())[:1]:
            raise origin.bad(index, how)
        return sifted.slots, sifted.labels

    def sift(self, block: bytes) -> Sifted:
        """The same, without the bad lines.

        These are lines with other than 40 fields or a NUL byte, labels other than 0 and 1, counts
        that are no integers of at most 18 digits, categories of more than 8 bytes or "nan".

        Parameters
        ----------
        block : lines, each ended by a newline.
        """
        fields, found = Fields.sift(block, "\t", FIELDS)
        kept = np.flatnonzero(found == FIELDS)
        bad = {
            index: uneven(int(found[index]), FIELDS)
            for index in np.flatnonzero(found != FIELDS).tolist()
        }
        labels, categories = fields[0], fields[1 + COUNTS :]
        counts = fields[1 : 1 + COUNTS]
        clicked = labels.equal("1")
        values, valid = counts.integers()
        wrong = np.zeros(len(kept), np.bool_)
        for where, how in (
            (_with_nul(block, len(found))[kept, None], "has a NUL byte"),
            (~(clicked | labels.equal("0")), "has a label other than 0 and 1"),
            (~valid & (counts.lengths > 0), "has a count that is no integer"),
            (categories.lengths > CATEGORY_BYTES, "has a category of more than 8 bytes"),
            (categories.equal("nan") | categories.equal("NaN"), "has NaN for a category"),
        ):
            lines = where.any(axis=1) & ~wrong
            bad |= dict.fromkeys(kept[lines].tolist(), how)
            wrong |= lines
        if wrong.any():
            categories, values, clicked = categories.lines(~wrong), values[~wrong], clicked[~wrong]
            kept = kept[~wrong]
        slots = np.empty((len(kept), COUNTS + CATEGORIES), np.int16)
        slots[:, :COUNTS] = self._buckets(values)
        hashes = categories.hashes(CATEGORY_BYTES, _MISSING) & np.uint32(self.slots - 1)
        first = COUNTS * self.buckets + self.slots * np.arange(CATEGORIES, dtype=np.uint32)
        slots[:, COUNTS:] = hashes + first.astype(np.uint32)
        return Sifted(slots, clicked[:, 0].astype(np.int16), kept, bad)

    def _buckets(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The column of each count, int64 [lines, 13], or ``NOTHING``."""
        bucket = self._small[np.clip(counts, 0, _SMALL - 1)]
        large = counts >= _SMALL
        bucket[large] = np.searchsorted(self.least, counts[large], side="right") - 1
        return np.where(bucket < 0, NOTHING, bucket + self.buckets * np.arange(COUNTS))


@dataclass(frozen=True)
class Sifted:
    """A block's good lines, encoded, and what is wrong with the others.

    Attributes
    ----------
    slots : int16 [good lines, 39], columns that are one, or ``NOTHING``.
    labels : int16 [good lines], 0 or 1.
    kept : int64 [good lines], their indexes in the block, from 0.
    bad : by a bad line's index, a complaint to go behind its name.
    """

    slots: NDArray[np.int16]
    labels: NDArray[np.int16]
    kept: NDArray[np.int64]
    bad: dict[int, str]


def _with_nul(block: bytes, lines: int) -> NDArray[np.bool_]:
    """Which lines have a NUL byte, bool [lines]."""
    found = np.zeros(lines, np.bool_)
    if b"\0" in block:
        data = np.frombuffer(block, np.uint8)
        newlines = np.flatnonzero(data == _NEWLINE)
        found[np.searchsorted(newlines, np.flatnonzero(data == 0))] = True
    return found
