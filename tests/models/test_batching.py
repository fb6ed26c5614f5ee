from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.models.batching import Batcher, Rows


def batches_of(size: int, blocks: list[int]) -> list[Rows]:
    """Batches cut from rows 0, 1, 2, ... that come in blocks; the block's memory is reused."""
    batcher = Batcher(size)
    found = []
    start = 0
    for length in blocks:
        x = np.arange(start, start + length)
        for batch, labels in batcher.push(x, -x):
            assert (labels == -batch).all()
            found.append(batch.copy())
        x[:] = -1
        start += length
    return found + [batch for batch, _ in batcher.flush()]


@given(st.integers(1, 9), st.lists(st.integers(0, 30), max_size=8))
def test_batches_do_not_depend_on_the_blocks(size: int, blocks: list[int]) -> None:
    found = batches_of(size, blocks)
    whole = batches_of(size, [sum(blocks)])
    assert [batch.tolist() for batch in found] == [batch.tolist() for batch in whole]
    assert np.concatenate([[], *found]).tolist() == list(range(sum(blocks)))
    assert all(len(batch) == size for batch in found[:-1])


def test_a_batch_inside_a_block_is_a_view() -> None:
    x = np.arange(8)
    batches = list(Batcher(4).push(x, x))
    assert all(np.shares_memory(batch, x) for batch, _ in batches)


def test_flush_gives_the_rest_once() -> None:
    batcher = Batcher(4)
    assert list(batcher.push(np.arange(3), np.arange(3))) == []
    assert len(list(batcher.flush())) == 1
    assert list(batcher.flush()) == []
