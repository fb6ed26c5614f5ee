"""The binary COPY encoder and reader against a decoder written from PostgreSQL's manual."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.warehouse.copy_binary import (
    SIGNATURE,
    TRAILER,
    ByteStream,
    FieldReader,
    encode_rows,
)


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


def stream_of(rows: list[list[bytes]]) -> bytes:
    body = b"".join(
        struct.pack(">h", len(row)) + b"".join(struct.pack(">i", len(v)) + v for v in row)
        for row in rows
    )
    return SIGNATURE + body + TRAILER


values = st.lists(st.lists(st.binary(max_size=9), min_size=1, max_size=3), max_size=4)


@given(rows=values, chunk=st.integers(1, 12))
def test_a_reader_gives_the_values_wherever_the_stream_is_cut(
    rows: list[list[bytes]], chunk: int
) -> None:
    stream = stream_of(rows)
    reader = FieldReader()
    for start in range(0, len(stream), chunk):
        reader.write(stream[start : start + chunk])
    assert [[bytes(value) for value in row] for row in reader.rows()] == rows


def test_a_value_inside_a_chunk_is_not_copied() -> None:
    stream = stream_of([[b"a" * 1000]])
    reader = FieldReader()
    reader.write(stream)
    ((value,),) = reader.rows()
    assert value.obj is stream


@given(rows=values, missing=st.integers(1, 2))
def test_a_stream_that_is_cut_short_is_refused(rows: list[list[bytes]], missing: int) -> None:
    reader = FieldReader()
    reader.write(stream_of(rows)[:-missing])
    with pytest.raises(ValueError, match="cut short"):
        list(reader.rows())


def test_another_stream_is_refused() -> None:
    reader = FieldReader()
    reader.write(b"1,2,3\n" * 9)
    with pytest.raises(ValueError, match="signature"):
        list(reader.rows())
