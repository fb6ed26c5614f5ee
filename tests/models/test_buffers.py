from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.models.buffers import BufferCache


def test_it_counts_hits_misses_and_bytes() -> None:
    cache = BufferCache(budget=100)
    x, y = np.zeros(10, np.float32), np.zeros(5, np.int16)
    assert cache.get("a") is None
    assert cache.put("a", x, y)
    pair = cache.get("a")
    assert pair is not None
    assert pair[0] is x
    assert pair[1] is y
    assert (cache.hits, cache.misses, cache.bytes, len(cache)) == (1, 1, 50, 1)


def test_a_key_that_is_held_keeps_its_first_pair() -> None:
    cache = BufferCache(budget=100)
    first = np.zeros(4, np.float32)
    assert cache.put("a", first, first)
    assert cache.put("a", np.ones(4, np.float32), first)
    assert cache.bytes == 32
    pair = cache.get("a")
    assert pair is not None
    assert pair[0] is first


@given(st.integers(0, 200), st.lists(st.integers(0, 20), max_size=20))
def test_it_stays_within_its_budget_and_drops_nothing(budget: int, sizes: list[int]) -> None:
    cache = BufferCache(budget)
    held = [
        key
        for key, size in enumerate(sizes)
        if cache.put(key, np.zeros(size, np.float32), np.zeros(size, np.int16))
    ]
    assert cache.bytes == sum(6 * sizes[key] for key in held) <= budget
    assert [key for key in range(len(sizes)) if cache.get(key) is not None] == held


def test_a_cyclic_scan_that_does_not_fit_still_hits() -> None:
    cache = BufferCache(budget=60)
    block = np.zeros(5, np.float32)
    for _ in range(2):
        for key in range(4):
            if cache.get(key) is None:
                cache.put(key, block, block[:0])
    assert (cache.hits, cache.misses) == (3, 5)
