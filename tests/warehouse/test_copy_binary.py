"""The binary COPY encoder against a decoder written from PostgreSQL's manual."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.warehouse.copy_binary import SIGNATURE, TRAILER, ByteStream, encode_rows


def decode(stream: bytes) -> list[tuple[bytes, ...]]:
    assert stream.startswith(SIGNATURE)
    position = len(SIGNATURE)
    rows: list[tuple[bytes, ...]] = []
    while True:
        (fields,) = struct.unpack_from(">h", stream, position)
        position += 2
        if fields == -1:
            assert position == len(stream)
            return rows
        row = []
        for _ in range(fields):
            (length,) = struct.unpack_from(">i", stream, position)
            row.append(stream[position + 4 : position + 4 + length])
            position += 4 + length
        rows.append(tuple(row))


@given(
    rows=st.integers(1, 9),
    features=st.integers(1, 7),
    key=st.integers(0, 2**31 - 1),
    first=st.integers(0, 2**62),
    seed=st.integers(0, 99),
)
def test_encoded_rows_decode_to_the_same_values(
    rows: int, features: int, key: int, first: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, features), dtype=np.float32)
    y = random.integers(-(2**15), 2**15, rows, dtype=np.int16)
    found = decode(SIGNATURE + encode_rows(key, first, x, y) + TRAILER)
    assert len(found) == rows
    for index, (a, b, c, d) in enumerate(found):
        assert struct.unpack(">i", a) == (key,)
        assert struct.unpack(">q", b) == (first + index,)
        assert c == x[index].astype("<f4").tobytes()
        assert struct.unpack(">h", d) == (y[index],)


@given(blocks=st.lists(st.binary(max_size=9), max_size=6), size=st.integers(1, 5))
def test_a_stream_gives_every_byte_once_in_pieces_of_at_most_the_size(
    blocks: list[bytes], size: int
) -> None:
    stream = ByteStream(blocks)
    pieces = []
    while piece := stream.read(size):
        assert len(piece) <= size
        pieces.append(piece)
    assert b"".join(pieces) == b"".join(blocks)
    assert stream.bytes == sum(map(len, blocks))
    assert stream.read(size) == b""
