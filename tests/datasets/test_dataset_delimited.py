"""Murmur3 against its published values; delimited text against Python's own split, int and str."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.datasets.delimited import Fields, Origin
from experiments.datasets.murmur import murmur3
from experiments.errors import DataError
from tests.datasets.reference import murmur3_reference

ORIGIN = Origin("day_1", 101, "mend it")

PUBLISHED = [
    (b"", 0, 0),
    (b"", 1, 0x514E28B7),
    (b"", 0xFFFFFFFF, 0x81F16F39),
    (b"\xff\xff\xff\xff", 0, 0x76293B50),
    (b"\x21\x43\x65\x87", 0, 0xF55B516B),
    (b"\x21\x43\x65\x87", 0x5082EDEE, 0x2362F9DE),
    (b"\x21\x43\x65", 0, 0x7E4A8634),
    (b"\x21\x43", 0, 0xA0F7B07A),
    (b"\x21", 0, 0x72661CF4),
    (b"\0\0\0\0", 0, 0x2362F9DE),
    (b"\0\0\0", 0, 0x85F0B427),
    (b"\0\0", 0, 0x30F4C306),
    (b"\0", 0, 0x514E28B7),
    (b"abc", 0, 0xB3DD93FA),
    (b"aaaa", 0x9747B28C, 0x5A97808A),
    (b"Hello, world!", 0x9747B28C, 0x24884CBA),
    (b"The quick brown fox jumps over the lazy dog", 0x9747B28C, 0x2FA826CD),
]
"""Values in circulation with the reference implementation's tests."""


def hashed(texts: list[bytes], seed: int, spare: int = 0) -> list[int]:
    lengths = np.array([len(text) for text in texts], np.int64)
    width = int(lengths.max(initial=0)) + spare
    padded = b"".join(text.ljust(width, b"\0") for text in texts)
    matrix = np.frombuffer(padded, np.uint8).reshape(len(texts), width)
    return [int(value) for value in murmur3(matrix, lengths, seed)]


@pytest.mark.parametrize(("text", "seed", "expected"), PUBLISHED)
def test_published_hashes(text: bytes, seed: int, expected: int) -> None:
    assert murmur3_reference(text, seed) == expected
    assert hashed([text], seed) == [expected]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.binary(max_size=13), min_size=1, max_size=8),
    st.integers(0, 2**32 - 1),
    st.integers(0, 5),
)
def test_strings_of_many_lengths_at_once(texts: list[bytes], seed: int, spare: int) -> None:
    assert hashed(texts, seed, spare) == [murmur3_reference(text, seed) for text in texts]


WORDS = st.text(st.characters(codec="ascii", exclude_characters="\t\n"), max_size=9)
NUMBERS = st.integers(-(10**18) + 1, 10**18 - 1).map(str)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(WORDS | NUMBERS, min_size=3, max_size=3), max_size=6))
def test_fields_are_what_python_reads(rows: list[list[str]]) -> None:
    block = "".join("\t".join(row) + "\n" for row in rows).encode()
    fields = Fields.of(block, "\t", 3, ORIGIN)
    width = 20
    for column in range(3):
        part, said = fields[column], [row[column] for row in rows]
        texts = part.text(width)[:, 0]
        assert [bytes(t)[: len(s)].decode() for t, s in zip(texts, said, strict=True)] == said
        assert part.lengths[:, 0].tolist() == [len(text) for text in said]
        assert part.equal("7")[:, 0].tolist() == [text == "7" for text in said]
        values, valid = part.integers()
        numbers = [text.removeprefix("-").isdigit() for text in said]
        assert valid[:, 0].tolist() == numbers
        expected = [int(text) if ok else 0 for text, ok in zip(said, numbers, strict=True)]
        assert values[:, 0].tolist() == expected
        hashes = [murmur3_reference((text or "0").encode()) for text in said]
        assert part.hashes(width, "0")[:, 0].tolist() == hashes


def test_chosen_lines_keep_their_fields() -> None:
    fields = Fields.of(b"1\t2\n3\t4\n5\t6\n", "\t", 2, ORIGIN)
    assert fields.lines(np.array([True, False, True])).integers()[0].tolist() == [[1, 2], [5, 6]]


@pytest.mark.parametrize("text", ["", "-", "--1", "1-", "+1", "1.0", "NA", " 1", "1" * 19])
def test_what_is_no_integer(text: str) -> None:
    values, valid = Fields.of(f"{text}\t5\n".encode(), "\t", 2, ORIGIN).integers()
    assert valid.tolist() == [[False, True]]
    assert values.tolist() == [[0, 5]]


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        (b"1\t2\n3\n", "day_1, line 102 has 1 fields, not 2; mend it"),
        (b"1\t2\t3\n4\n", "day_1, line 101 has 3 fields, not 2"),
        (b"1\t2\n\n3\t4\n", "day_1, line 102 has 1 fields"),
        (b"1\t2\n3\t4", "day_1, line 102 is cut off"),
        (b"nothing", "day_1, line 101 is cut off"),
    ],
)
def test_a_bad_line_is_named(block: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        Fields.of(block, "\t", 2, ORIGIN)
