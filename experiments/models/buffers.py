"""Decoded training data kept in the process, bounded in bytes."""

from __future__ import annotations

from collections.abc import Hashable

from experiments.models.batching import Rows


class BufferCache:
    """Keeps ``(x, y)`` pairs until the budget is full, and never drops one.

    A unit scans its partition from the first buffer to the last, again and again. On such a cyclic
    scan that does not fit, an LRU cache drops every buffer just before it is wanted; keeping what
    came first serves the same fraction of every scan.

    Parameters
    ----------
    budget : bytes of array data that may be held; 0 keeps nothing.

    Attributes
    ----------
    hits, misses : calls of :meth:`get` that found, or did not find, their key.
    bytes : bytes of array data held.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.hits = 0
        self.misses = 0
        self.bytes = 0
        self._held: dict[Hashable, tuple[Rows, Rows]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._held

    def get(self, key: Hashable) -> tuple[Rows, Rows] | None:
        """The pair put under this key, or None."""
        pair = self._held.get(key)
        if pair is None:
            self.misses += 1
        else:
            self.hits += 1
        return pair

    def put(self, key: Hashable, x: Rows, y: Rows) -> bool:
        """Keep a pair if it fits; True if it is held now.

        The arrays are kept, not copied: the caller must not write into them afterwards. A key that
        is already held keeps its first pair.
        """
        if key in self._held:
            return True
        size = x.nbytes + y.nbytes
        if self.bytes + size > self.budget:
            return False
        self._held[key] = (x, y)
        self.bytes += size
        return True
