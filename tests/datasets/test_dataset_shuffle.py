"""The shuffle is a bijection for every size, depends on its seed, and looks random."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.datasets import Permutation

SEEDS = st.integers(-(2**70), 2**70)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 5000), SEEDS)
def test_it_is_a_bijection(size: int, seed: int) -> None:
    order = Permutation(size, seed).block(0, size)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(size))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 1023, 1024, 1025, 65536, 999_983])
def test_it_is_a_bijection_at_the_edges(size: int) -> None:
    assert np.array_equal(np.sort(Permutation(size, 7).block(0, size)), np.arange(size))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 2000), SEEDS, st.data())
def test_blocks_join_up(size: int, seed: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, size))
    order = Permutation(size, seed)
    joined = np.concatenate([order.block(0, cut), order.block(cut, size)])
    assert np.array_equal(joined, order.block(0, size))


def test_seed_and_stream_choose_the_order() -> None:
    orders = [
        tuple(Permutation(1000, seed, stream).block(0, 1000).tolist())
        for seed in (0, 1, 2)
        for stream in ("train", "valid")
    ]
    assert len(set(orders)) == len(orders)
    assert orders[0] == tuple(Permutation(1000, 0, "train").block(0, 1000).tolist())


def test_the_order_is_pinned() -> None:
    """Another order would silently change every partition of every recorded run."""
    assert Permutation(10, 1, "train").block(0, 10).tolist() == [3, 1, 0, 5, 4, 2, 8, 9, 6, 7]


def test_every_element_is_equally_likely_everywhere() -> None:
    size, seeds = 10, 4000
    counts = np.zeros((size, size))
    for seed in range(seeds):
        counts[np.arange(size), Permutation(size, seed).block(0, size)] += 1
    chi_square = ((counts - seeds / size) ** 2 / (seeds / size)).sum()
    assert 81 - 4 * np.sqrt(162) < chi_square < 81 + 4 * np.sqrt(162)


def test_neighbours_are_unrelated() -> None:
    order = Permutation(100_000, 3).block(0, 100_000).astype(np.float64)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(order, np.arange(100_000))[0, 1]) < 0.02


def test_memory_depends_on_the_block_only() -> None:
    order = Permutation(10**12, 5)
    tracemalloc.start()
    taken = order.block(10**11, 10**11 + 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(set(taken.tolist())) == 1000
    assert peak < 1 << 20


def test_bad_sizes_and_positions_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Permutation(0, 1)
    for position in (-1, 5):
        with pytest.raises(IndexError, match=r"0\.\.4"):
            Permutation(5, 1)(np.array([position]))
    assert Permutation(5, 1).block(2, 2).size == 0
