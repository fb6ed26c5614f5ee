from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from experiments.models import codec
from experiments.models.codec import Floats

tensors = st.lists(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)), max_size=4
)


def flat(arrays: list[Floats]) -> bytes:
    return b"".join(array.tobytes() for array in arrays)


@given(tensors, tensors, st.integers(0, 2**40), st.text(max_size=20))
def test_a_state_comes_back_bit_for_bit(
    weights: list[Floats], optimizer: list[Floats], step: int, layout: str
) -> None:
    state = codec.decode(codec.encode(weights, optimizer, step, layout), layout)
    assert state.weights.tobytes() == flat(weights)
    assert state.optimizer.tobytes() == flat(optimizer)
    assert (state.step, state.layout) == (step, layout)


def example() -> bytes:
    return codec.encode([np.arange(6, dtype=np.float32).reshape(2, 3)], [], 3, "abcd")


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    state = bytearray(example())
    place = data.draw(st.integers(0, len(state) - 1))
    state[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="model state: "):
        codec.decode(state)


@given(st.integers(0, len(example()) - 1))
def test_a_missing_end_is_noticed(length: int) -> None:
    with pytest.raises(ValueError, match="model state: "):
        codec.decode(example()[:length])


@given(st.binary(max_size=64))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="model state: "):
        codec.decode(data)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (example() + b"\0\0\0\0", "bytes, its header promises"),
        (b"PK\x03\x04" + example()[4:], "not b'CDSM'"),
        (example()[:4] + b"\x09\x00" + example()[6:], "version 9, this reader knows 1"),
        (example()[:-1] + b"\xff", "its checksum does not match"),
        (example().replace(b'"step":3', b'"step":4'), "its checksum does not match"),
        (example().replace(b'"step"', b'"stop"'), "lacks or mistypes a field"),
    ],
)
def test_the_message_says_what_is_wrong(state: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        codec.decode(state)


def test_a_state_of_another_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="layout abcd, the loaded architecture has efgh"):
        codec.decode(example(), "efgh")


def test_the_payload_is_an_aligned_view_that_cannot_be_written() -> None:
    state = bytearray(example())
    decoded = codec.decode(memoryview(state))
    assert np.shares_memory(decoded.weights, np.frombuffer(state, np.uint8))
    assert state.index(decoded.weights.tobytes()) % codec.ALIGNMENT == 0
    with pytest.raises(ValueError, match="read-only"):
        decoded.weights[0] = 1


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((3, 3), np.float32)[:, 1]])
def test_only_contiguous_float32_is_encoded(array: Floats) -> None:
    with pytest.raises(ValueError, match="contiguous float32"):
        codec.encode([array], [], 0, "")
