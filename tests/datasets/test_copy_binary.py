"""The binary COPY encoder and reader against a decoder written from PostgreSQL's manual."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.datasets.copy_binary import (
    SIGNATURE,
    TRAILER,
    ByteStream,
    FieldReader,
    RowReader,
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


def rows_of(count: int, width: int, seed: int) -> tuple[list[list[bytes]], Any, Any]:
    random = np.random.default_rng(seed)
    x = random.standard_normal((count, width), dtype=np.float32)
    y = random.integers(-(2**15), 2**15, count, dtype=np.int16)
    rows = [
        [struct.pack(">q", index), x[index].astype("<f4").tobytes(), struct.pack(">h", y[index])]
        for index in range(count)
    ]
    return rows, x, y


@given(
    count=st.integers(0, 9),
    width=st.integers(1, 5),
    block=st.integers(1, 4),
    chunk=st.integers(1, 60),
)
def test_rows_of_one_size_come_in_blocks_wherever_the_stream_is_cut(
    count: int, width: int, block: int, chunk: int
) -> None:
    rows, x, y = rows_of(count, width, count)
    stream, taken = stream_of(rows), []
    reader = RowReader(width, block, lambda *part: taken.append([each.copy() for each in part]))
    for start in range(0, len(stream), chunk):
        reader.write(stream[start : start + chunk])
    reader.finish()
    assert [len(ids) for ids, _, _ in taken[:-1]] == [block] * (len(taken) - 1)
    assert sum(len(ids) for ids, _, _ in taken) == count
    if count:
        ids, xs, ys = (np.concatenate(each) for each in zip(*taken, strict=True))
        assert ids.tolist() == list(range(count))
        np.testing.assert_array_equal(xs, x)
        np.testing.assert_array_equal(ys, y)


def read_rows(stream: bytes) -> None:
    reader = RowReader(4, 3, lambda *columns: None)
    for start in range(0, len(stream), 50):
        reader.write(stream[start : start + 50])
    reader.finish()


@pytest.mark.parametrize("short", [1, 2, 30, 200])
def test_a_stream_of_rows_that_is_cut_short_is_refused(short: int) -> None:
    with pytest.raises(ValueError, match="cut short"):
        read_rows(stream_of(rows_of(8, 4, 1)[0])[:-short])


@pytest.mark.parametrize("index", [0, 4, 7])
@pytest.mark.parametrize("width", [3, 5])
def test_a_row_of_another_size_is_refused(index: int, width: int) -> None:
    rows = rows_of(8, 4, 1)[0]
    rows[index][1] = bytes(4 * width)
    with pytest.raises(ValueError, match=r"a row has another"):
        read_rows(stream_of(rows))


def test_rows_of_another_stream_are_refused() -> None:
    with pytest.raises(ValueError, match="signature"):
        read_rows(b"1,2,3\n" * 200)


def test_rows_are_taken_apart_in_the_memory_of_a_few_blocks() -> None:
    """Memory does not grow with the stream: 64 MB go through blocks of 1 MB."""
    row = stream_of([[bytes(8), bytes(1024), bytes(2)]])[len(SIGNATURE) : -len(TRAILER)]
    taken = 0

    def take(ids: Any, x: Any, y: Any) -> None:
        nonlocal taken
        taken += x.nbytes

    tracemalloc.start()
    try:
        reader = RowReader(256, 1024, take)
        reader.write(SIGNATURE)
        for _ in range(2**16):
            reader.write(row)
        reader.write(TRAILER)
        reader.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken == 2**26
    assert peak < 5 * 2**20
