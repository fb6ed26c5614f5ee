"""Raw lines in the format of the Criteo terabyte click logs, each computed from its row number.

They stand in for the logs, which cannot be had here; nothing in them comes from Criteo. What is
imitated: the format (tab separated: label, 13 counts, 26 categories of 8 hexadecimal digits, any
of these 39 empty), counts with heavy tails and now and then -1 or -2, and vocabularies from a
handful to tens of thousands with few frequent values and a long tail.

**Sizes.** A count or a category's rank is drawn evenly among octaves [1, 2), [2, 4), [4, 8), …,
then evenly within one: Zipf's law in steps, P(rank) ~ 1/rank.

**What decides a click.** A row clicks when its score and noise together pass a threshold. The
score is the sum of a trend over the octaves of each count, a weight for each frequent value of
each category, and products of signs of a count and a category, which no linear model sees. The
noise is a sum of four uniform numbers. Ranking by the score itself, the best that any model can
do, has an AUC of 0.84; by its linear part, 0.78. A quarter of the rows click, not 3 % as in the
logs, so that learning shows on few rows.

Integer arithmetic only, so every machine writes the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.criteo_encoding import CATEGORIES, CATEGORY_BYTES, COUNTS, FIELDS
from experiments.datasets.shuffle import key64, mix64
from experiments.datasets.source import Split

COUNT_OCTAVES = np.array([5, 10, 11, 7, 21, 13, 8, 9, 12, 4, 7, 6, 10])
"""Octaves of each count, the first being 0: a count of k octaves is less than 2^(k-1)."""

RANK_OCTAVES = np.array(
    [2, 9, 16, 15, 6, 4, 12, 8, 2, 14, 12, 16, 11, 4, 12, 15, 3, 12, 10, 2, 16, 4, 4, 14, 6, 12]
)
"""Octaves of each category's rank, from 1: k octaves are a vocabulary of 2^k - 1 values."""

COUNT_GAPS = np.array([45, 0, 20, 20, 2, 22, 4, 0, 4, 45, 4, 76, 20])
RANK_GAPS = np.array(
    [0, 0, 3, 3, 0, 12, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 44, 44, 3, 76, 0, 3, 44, 44]
)
"""Missing fields, in percent."""

SIGNED_COUNT = 1
"""The count of which the first octave is 0, -1 and -2."""

FREQUENT = 16
"""Categories of this rank and above have no weight: too rare to be learnt."""

TREND, WEIGHT, PAIR = 24, 40, 160
"""Largest weights: a count's for each octave, a frequent category's, a product's."""

PAIRS = ((1, 0), (4, 8))
"""The products: a count and a category of few values."""

UNIT, THRESHOLD = 85, 37_600
"""Of a score's point, beside noise of standard deviation 65536/√3; and a click's least sum."""

_COUNT_BYTES = 7
_COLUMNS = np.arange(CATEGORIES)
_HEX = np.frombuffer(b"".join(b"%04x" % value for value in range(1 << 16)), np.uint32)
_LANE = np.uint64(0xFFFF)
_TAB, _NEWLINE, _MINUS, _ZERO = b"\t\n-0"


@dataclass(frozen=True)
class _Drawn:
    """What was drawn for some columns of n rows; each array is [n, columns].

    Attributes
    ----------
    present : bool, the others are gaps.
    octaves : int64, from 0.
    sizes : int64, from 2^octave to 2^(octave+1) - 1.
    """

    present: NDArray[np.bool_]
    octaves: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(
        cls, bits: NDArray[np.uint64], octaves: NDArray[np.int64], gaps: NDArray[np.int64]
    ) -> _Drawn:
        lanes = [((bits >> np.uint64(shift)) & _LANE).astype(np.int64) for shift in (0, 16)]
        octave = lanes[0] * octaves >> 16
        least = np.int64(1) << octave
        places = (bits >> np.uint64(32)).astype(np.int64) & (least - 1)
        return cls(lanes[1] * 100 >> 16 >= gaps, octave, least + places)


class CriteoLines:
    """The lines of one split.

    Parameters
    ----------
    split : train and valid share weights and vocabularies, not rows.
    seed : of everything.
    """

    def __init__(self, split: Split, seed: int) -> None:
        self._rows = key64("criteo", seed, split)
        self._names = key64("criteo", seed, "names")
        self._trends = _weights(COUNTS, TREND, key64("criteo", seed, "trends"))
        weights = _weights(CATEGORIES * FREQUENT, WEIGHT, key64("criteo", seed, "weights"))
        self._ranks = weights.reshape(CATEGORIES, FREQUENT)
        self._ranks[:, 0] = 0  # stands for gaps and the tail; ranks begin at 1

    def lines(self, rows: NDArray[np.int64]) -> bytes:
        """The lines of these rows, each ended by a newline.

        Parameters
        ----------
        rows : int64 [n], numbers from 0.
        """
        noise, counts, ranks = self._draw(rows)
        clicked = self._score(counts, ranks) * UNIT + noise >= THRESHOLD
        values = counts.sizes >> 1
        values[:, SIGNED_COUNT] -= np.where(counts.octaves[:, SIGNED_COUNT] == 0, rows % 3, 0)
        return _text(clicked, values, counts.present, self._categories(ranks), ranks.present)

    def _draw(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], _Drawn, _Drawn]:
        """Noise, counts and ranks of these rows."""
        columns = np.arange(FIELDS, dtype=np.uint64)
        places: NDArray[np.uint64] = rows.astype(np.uint64)[:, None] * np.uint64(FIELDS) + columns
        bits = mix64(places ^ self._rows)
        counts = _Drawn.of(bits[:, 1 : 1 + COUNTS], COUNT_OCTAVES, COUNT_GAPS)
        ranks = _Drawn.of(bits[:, 1 + COUNTS :], RANK_OCTAVES, RANK_GAPS)
        return _noise(bits[:, 0]), counts, ranks

    def _score(self, counts: _Drawn, ranks: _Drawn) -> NDArray[np.int64]:
        """What of a row's click can be learnt, int64 [n]."""
        heights = (2 * counts.octaves - COUNT_OCTAVES + 1) * counts.present
        score: NDArray[np.int64] = (heights * self._trends).sum(axis=1)
        frequent = ranks.present & (ranks.sizes < FREQUENT)
        score += self._ranks[_COLUMNS, np.where(frequent, ranks.sizes, 0)].sum(axis=1)
        signs = (1 - 2 * (ranks.octaves & 1)) * ranks.present
        for count, category in PAIRS:
            score += PAIR * np.sign(heights[:, count]) * signs[:, category]
        return score

    def _categories(self, ranks: _Drawn) -> NDArray[np.uint64]:
        return mix64((ranks.sizes * CATEGORIES + _COLUMNS).astype(np.uint64) ^ self._names)


def _weights(count: int, largest: int, key: np.uint64) -> NDArray[np.int64]:
    """Whole numbers in ``-largest … largest``, int64 [count]."""
    drawn = mix64(np.arange(count, dtype=np.uint64) ^ key) % np.uint64(2 * largest + 1)
    return drawn.astype(np.int64) - largest


def _noise(bits: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The sum of four uniform 16-bit numbers less its mean, int64 [n]."""
    lanes = ((bits >> np.uint64(shift)) & _LANE for shift in (0, 16, 32, 48))
    noise = np.full(len(bits), -2 * 0xFFFF, np.int64)
    for lane in lanes:
        noise += lane.astype(np.int64)
    return noise


def _text(
    clicked: NDArray[np.bool_],
    counts: NDArray[np.int64],
    counts_present: NDArray[np.bool_],
    categories: NDArray[np.uint64],
    categories_present: NDArray[np.bool_],
) -> bytes:
    """Lines: every field at its full width, then less the bytes that are not used."""
    rows = len(clicked)
    label = np.full((rows, 2), _TAB, np.uint8)
    label[:, 0] = _ZERO + clicked
    counted = np.full((rows, COUNTS, _COUNT_BYTES + 1), _TAB, np.uint8)
    used = np.zeros(counted.shape, np.bool_)
    used[..., _COUNT_BYTES] = True
    rest = np.abs(counts).astype(np.uint32)
    for place in reversed(range(_COUNT_BYTES)):
        counted[..., place] = _ZERO + rest % np.uint32(10)
        used[..., place] = counts_present & ((rest > 0) | (place == _COUNT_BYTES - 1))
        rest //= np.uint32(10)
    minus = counts_present & (counts < 0)
    counted[minus, _COUNT_BYTES - 2] = _MINUS
    used[minus, _COUNT_BYTES - 2] = True
    named = np.full((rows, CATEGORIES, CATEGORY_BYTES + 1), _TAB, np.uint8)
    halves = np.stack([(categories >> np.uint64(shift)) & _LANE for shift in (16, 0)], axis=-1)
    named[..., :CATEGORY_BYTES] = _HEX[halves].view(np.uint8)
    named[:, -1, -1] = _NEWLINE
    shown = np.ones(named.shape, np.bool_)
    shown[..., :CATEGORY_BYTES] = categories_present[..., None]
    text = np.concatenate([part.reshape(rows, -1) for part in (label, counted, named)], axis=1)
    keep = np.concatenate(
        [part.reshape(rows, -1) for part in (np.ones(label.shape, np.bool_), used, shown)], axis=1
    )
    return bytes(text[keep].data)
