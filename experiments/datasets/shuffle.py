"""A seeded shuffle whose memory does not grow with the table.

A permutation of ``0 … n-1`` is computed where it is asked for instead of being stored: an
alternating Feistel network over ``Z_a × Z_b`` with ``a·b`` just above ``n`` (Black and Rogaway,
*Ciphers with Arbitrary Finite Domains*, CT-RSA 2002), and cycle walking for the few values in
between. Integer arithmetic only, so every machine gives the same order.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

ROUNDS = 8

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def mix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function: a bijection on 64 bits that scatters neighbouring values."""
    z = (values + np.uint64(1)) * _GOLDEN
    z ^= z >> np.uint64(30)
    z *= _MIX_1
    z ^= z >> np.uint64(27)
    z *= _MIX_2
    z ^= z >> np.uint64(31)
    return z


def key64(*parts: int | str) -> np.uint64:
    """A 64-bit key from a seed and whatever else names its use."""
    text = "\x1f".join(str(part) for part in parts)
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))


@dataclass(frozen=True)
class Permutation:
    """A pseudo-random bijection of ``0 … size-1``.

    Attributes
    ----------
    size : number of elements n, at least 1.
    seed : any integer; another seed gives another order.
    stream : names the use, so that two tables shuffled with one seed get unrelated orders.
    """

    size: int
    seed: int
    stream: str = ""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"a permutation needs at least one element, not {self.size}")

    @cached_property
    def _network(self) -> tuple[np.uint64, np.uint64, tuple[np.uint64, ...]]:
        a = math.isqrt(self.size - 1) + 1
        b = -(-self.size // a)
        keys = tuple(key64("shuffle", self.seed, self.stream, i) for i in range(ROUNDS))
        return np.uint64(a), np.uint64(b), keys

    def _scramble(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        a, b, keys = self._network
        left, right = values // b, values % b
        for number, key in enumerate(keys):
            if number % 2:
                right = (right + mix64(left ^ key) % b) % b
            else:
                left = (left + mix64(right ^ key) % a) % a
        return left * b + right

    def __call__(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The elements at these positions of the shuffled order.

        Parameters
        ----------
        positions : int64 [k], each in ``0 … size-1``.

        Returns
        -------
        int64 [k]

        Raises
        ------
        IndexError
            A position lies outside the permutation.
        """
        if positions.size and (positions.min() < 0 or positions.max() >= self.size):
            raise IndexError(f"positions must lie in 0..{self.size - 1}")
        size = np.uint64(self.size)
        values = self._scramble(positions.astype(np.uint64))
        outside = np.flatnonzero(values >= size)
        while outside.size:
            values[outside] = self._scramble(values[outside])
            outside = outside[values[outside] >= size]
        return values.astype(np.int64)

    def block(self, start: int, stop: int) -> NDArray[np.int64]:
        """Elements ``start … stop-1`` of the shuffled order, int64 [stop-start]."""
        return self(np.arange(start, stop, dtype=np.int64))
