"""MurmurHash3, 32 bits (``MurmurHash3_x86_32`` by Austin Appleby), over many short strings at once.

The hash with which the original release put categories into slots (its ``mmh3.hash``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WORD = 4
_C1, _C2 = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)
_FIVE, _ADD = np.uint32(5), np.uint32(0xE6546B64)
_F1, _F2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)


def murmur3(
    text: NDArray[np.uint8], lengths: NDArray[np.int64], seed: int = 0
) -> NDArray[np.uint32]:
    """The hash of each string.

    Parameters
    ----------
    text : uint8 [n, width], one string a row, with zeros behind its end.
    lengths : int64 [n], bytes of each string, at most ``width``.
    seed : 32-bit seed.

    Returns
    -------
    uint32 [n]
    """
    count, width = text.shape
    words = -(-width // _WORD)
    if width % _WORD:
        text = np.pad(text, ((0, 0), (0, -width % _WORD)))
    values = np.ascontiguousarray(text).view("<u4")
    whole = (lengths // _WORD).astype(np.int32)
    hashes = np.full(count, seed, np.uint32)
    for number in range(words):
        mixed = _rotate(values[:, number] * _C1, 15)
        mixed *= _C2
        mixed ^= hashes
        # In the word where a string ends only what is there is mixed in; zeros have no effect.
        np.copyto(hashes, mixed, where=whole == number)
        mixed = _rotate(mixed, 13)
        mixed *= _FIVE
        mixed += _ADD
        np.copyto(hashes, mixed, where=whole > number)
    hashes ^= lengths.astype(np.uint32)
    hashes ^= hashes >> np.uint32(16)
    hashes *= _F1
    hashes ^= hashes >> np.uint32(13)
    hashes *= _F2
    hashes ^= hashes >> np.uint32(16)
    return hashes


def _rotate(values: NDArray[np.uint32], bits: int) -> NDArray[np.uint32]:
    """In place, and returned."""
    high = values << np.uint32(bits)
    values >>= np.uint32(32 - bits)
    values |= high
    return values
