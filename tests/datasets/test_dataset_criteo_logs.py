"""Click logs from packed days: against the readable encoding, resumed anywhere, damaged anyhow."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.datasets.criteo_encoding import CriteoEncoding
from experiments.datasets.criteo_generator import MADE, bad_lines, generate, spoil
from experiments.datasets.criteo_logs import CriteoLogs
from experiments.datasets.gzipped import GzipReader, open_gzip
from experiments.datasets.raw import Block, Rejected
from experiments.datasets.shuffle import key64, mix64
from experiments.datasets.slots import NOTHING
from experiments.datasets.source import SPLITS, Split
from experiments.errors import DataError
from tests.datasets.reference import criteo_reference

ENCODING = CriteoEncoding(10, 16)
ROWS = 1500
WINDOW = 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of good lines."""
    folder = tmp_path_factory.mktemp("criteo") / "logs"
    generate(folder, ROWS, days=(1, 2))
    return folder


def logs(folder: Path, fraction: float = 1.0, days: tuple[int, ...] = (1, 2)) -> CriteoLogs:
    return CriteoLogs(folder, ENCODING, days, fraction, window_bytes=WINDOW)


def day(tmp_path: Path, packed: bytes) -> CriteoLogs:
    """One day of these bytes."""
    (tmp_path / "day_1.gz").write_bytes(packed)
    return logs(tmp_path, days=(1,))


def text_of(folder: Path, number: int = 1) -> bytes:
    return gzip.decompress((folder / f"day_{number}.gz").read_bytes())


def lines_of(folder: Path, number: int = 1) -> list[bytes]:
    return text_of(folder, number).splitlines(keepends=True)


def table(blocks: Iterable[Block], split: Split) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """All of a split's rows."""
    parts = [block.rows[split] for block in blocks if split in block.rows]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def flat(block: Block) -> tuple[object, ...]:
    """A block as something that can be compared."""
    rows = {split: (x.tobytes(), y.tobytes()) for split, (x, y) in block.rows.items()}
    return rows, block.cursor, block.position, block.rejected


def rejected(data: CriteoLogs) -> list[Rejected]:
    return [each for block in data.blocks(None) for each in block.rejected]


def lot(seed: int, number: int, name: str, lines: int, share: float) -> list[bool]:
    """Which lines of a day are drawn, one at a time and in exact arithmetic."""
    key = key64("criteo logs", seed, number, name)
    hashes = [int(mix64(np.array([line], np.uint64) ^ key)[0]) for line in range(lines)]
    return [(each >> 11) < round(share * 2**53) for each in hashes]


@pytest.mark.parametrize("fraction", [1.0, 0.2])
def test_records_are_the_sampled_lines_as_by_hand(folder: Path, fraction: float) -> None:
    data = logs(folder, fraction)
    expected: dict[str, list[tuple[list[int], int]]] = {split: [] for split in SPLITS}
    for number in (1, 2):
        sampled = lot(data.seed, number, "sample", ROWS, fraction)
        valid = lot(data.seed, number, "valid", ROWS, 0.1)
        for line, here, held in zip(lines_of(folder, number), sampled, valid, strict=True):
            if here:
                expected["valid" if held else "train"].append(
                    criteo_reference(line.decode(), ENCODING.buckets, ENCODING.slots)
                )
    blocks = list(data.blocks(None))
    for split in SPLITS:
        slots, labels = table(blocks, split)
        assert slots.dtype == labels.dtype == np.dtype(data.record_dtype)
        assert slots.shape[1:] == data.record_shape
        found = [row[row != NOTHING].tolist() for row in slots]
        assert list(zip(found, labels.tolist(), strict=True)) == expected[split]
        x = data.dense(slots[:50])
        assert x.shape[1:] == data.info.input_shape
        assert [np.flatnonzero(row).tolist() for row in x] == found[:50]


def test_fractions_are_the_asked_ones(folder: Path) -> None:
    for fraction in (1.0, 0.3, 0.05):
        blocks = list(logs(folder, fraction).blocks(None))
        train, valid = (len(table(blocks, split)[1]) for split in SPLITS)
        total = 2 * ROWS
        spread = 5 * (total * fraction * (1 - fraction)) ** 0.5
        assert abs(train + valid - total * fraction) <= spread
        assert abs(valid - 0.1 * (train + valid)) < 5 * (0.09 * (train + valid)) ** 0.5


def test_another_seed_and_another_day_draw_other_lines(folder: Path, tmp_path: Path) -> None:
    for number in (1, 2):  # the same text under two names
        (tmp_path / f"day_{number}.gz").write_bytes((folder / "day_1.gz").read_bytes())
    drawn = [
        table(replace(logs(tmp_path, 0.2, (number,)), seed=seed).blocks(None), "train")[0].tobytes()
        for number, seed in ((1, 0), (2, 0), (1, 1))
    ]
    assert len(set(drawn)) == 3


def test_rows_do_not_depend_on_windows(folder: Path) -> None:
    found = set()
    for window in (1000, 7777, 1 << 20):
        blocks = list(replace(logs(folder, 0.4), window_bytes=window).blocks(None))
        found.add(tuple(part.tobytes() for split in SPLITS for part in table(blocks, split)))
    assert len(found) == 1


@pytest.mark.parametrize(("fraction", "window"), [(1.0, 4000), (0.05, 1000)])
def test_resumed_at_any_cursor_the_same_blocks_follow(
    tmp_path: Path, fraction: float, window: int
) -> None:
    generate(tmp_path / "logs", 400, days=(1, 2), bad=5)
    data = replace(logs(tmp_path / "logs", fraction), window_bytes=window)
    whole = [flat(block) for block in data.blocks(None)]
    assert len(whole) > 3
    for place, (_, cursor, *_) in enumerate(whole):
        assert [flat(block) for block in data.blocks(cursor)] == whole[place + 1 :]  # type: ignore[arg-type]


def test_progress_ends_at_the_files_sizes(folder: Path) -> None:
    data = logs(folder)
    positions = [block.position for block in data.blocks(None)]
    assert positions == sorted(positions)
    assert positions[-1] == data.size() == sum(p.stat().st_size for p in folder.glob("day_*"))


def test_a_block_may_be_the_last_one_asked_for(folder: Path) -> None:
    blocks = logs(folder).blocks(None)
    first = next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert flat(next(logs(folder).blocks(None))) == flat(first)


WHYS = [
    "has 39 fields, not 40",
    "has 41 fields, not 40",
    "has a label other than 0 and 1",
    "has a count that is no integer",
    "has a count that is no integer",
    "has a category of more than 8 bytes",
    "has a NUL byte",
    "has NaN for a category",
]


def test_bad_lines_are_kept_aside_and_the_others_stay(folder: Path, tmp_path: Path) -> None:
    generate(tmp_path / "logs", ROWS, days=(1,), bad=8)
    data = logs(tmp_path / "logs", days=(1,))
    places, good = bad_lines(ROWS, 8), lines_of(folder)
    assert rejected(data) == [
        Rejected(str(tmp_path / "logs/day_1.gz"), f"line {line + 1}", why, spoil(good[line], kind))
        for kind, (line, why) in enumerate(zip(places, WHYS, strict=True))
    ]
    (tmp_path / "good").mkdir()
    lots = lot(data.seed, 1, "valid", ROWS, 0.1)
    blocks = list(data.blocks(None))
    for split in SPLITS:
        kept = [
            criteo_reference(line.decode(), ENCODING.buckets, ENCODING.slots)
            for index, (line, held) in enumerate(zip(good, lots, strict=True))
            if index not in places and held == (split == "valid")
        ]
        slots, labels = table(blocks, split)
        found = [row[row != NOTHING].tolist() for row in slots]
        assert list(zip(found, labels.tolist(), strict=True)) == kept


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\n", "has 1 fields, not 40"),
        (b"1" + b"\t" * 39 + b"\0\n", "has a NUL byte"),
        (b"nan" + b"\t" * 39 + b"\n", "has a label other than 0 and 1"),
        (b"0\t" + b"9" * 19 + b"\t" * 38 + b"\n", "has a count that is no integer"),
        (b"0\tnan" + b"\t" * 38 + b"\n", "has a count that is no integer"),
        (b"0" + b"\t" * 39 + b"NaN\n", "has NaN for a category"),
        (b"0" + b"\t" * 39 + b"123456789\n", "has a category of more than 8 bytes"),
        (b"7\t\0" + b"\t" * 38 + b"123456789\n", "has a NUL byte"),
    ],
)
def test_each_bad_line_is_named(folder: Path, tmp_path: Path, line: bytes, why: str) -> None:
    good = lines_of(folder)[:3]
    data = day(tmp_path, gzip.compress(b"".join([*good[:2], line, good[2]])))
    assert rejected(data) == [Rejected(str(tmp_path / "day_1.gz"), "line 3", why, line)]
    assert sum(len(y) for block in data.blocks(None) for _, y in block.rows.values()) == 3


def test_odd_lines_that_are_good(tmp_path: Path) -> None:
    """Nothing but gaps, negative and huge counts, categories that are not hexadecimal or short."""
    lines = [
        "0" + "\t" * 39,
        "1\t-1\t-2\t-999999999999999999\t999999999999999999\t0" + "\t" * 34,
        "0\t0007\t12345678\t123456789\t1234567890123456\t12345678901234567" + "\t" * 34,
        "1" + "\t" * 14 + "zz\tA\tx y\té\t\tnull\t-\t0" + "\t" * 18,
    ]
    data = day(tmp_path, gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    assert not rejected(data)
    blocks = list(data.blocks(None))
    valid = lot(data.seed, 1, "valid", len(lines), 0.1)
    order = sorted(range(len(lines)), key=lambda index: valid[index])
    found = [
        (row[row != NOTHING].tolist(), int(label))
        for split in SPLITS
        for block in blocks
        for row, label in zip(*block.rows.get(split, ([], [])), strict=True)
    ]
    assert found == [criteo_reference(lines[i], ENCODING.buckets, ENCODING.slots) for i in order]


def test_a_last_line_without_an_end_is_rejected(folder: Path, tmp_path: Path) -> None:
    text = b"".join(lines_of(folder)[:5])
    (found,) = rejected(day(tmp_path, gzip.compress(text[:-1])))
    assert (found.where, found.content) == ("line 5", lines_of(folder)[4][:-1])
    assert found.why.startswith("is cut off")


def test_an_overlong_line_is_not_kept(folder: Path, tmp_path: Path) -> None:
    text = lines_of(folder)[0] + b"x" * 10_000 + b"\n"
    (found,) = rejected(day(tmp_path, gzip.compress(text)))
    assert (found.where, found.why, found.content) == ("line 2", "has 1 fields, not 40", b"")


def damaged(packed: bytes, place: int) -> bytes:
    """One byte replaced."""
    return packed[:place] + bytes([packed[place] ^ 0xFF]) + packed[place:][1:]


def test_concatenated_members_and_zeros_behind_are_one_text(folder: Path, tmp_path: Path) -> None:
    text = text_of(folder)
    parts = [text[:70_000], b"", text[70_000:70_001], text[70_001:]]
    packed = b"".join(gzip.compress(part) for part in parts) + b"\0" * 600
    blocks = [list(data.blocks(None)) for data in (logs(folder, days=(1,)), day(tmp_path, packed))]
    for split in SPLITS:
        for one, other in zip(table(blocks[0], split), table(blocks[1], split), strict=True):
            assert np.array_equal(one, other)
    assert blocks[1][-1].position == len(packed)


def test_a_damaged_day_is_named(folder: Path, tmp_path: Path) -> None:
    packed = (folder / "day_1.gz").read_bytes()
    for spoilt, complaint in (
        (packed[: len(packed) // 2], r"is cut off after \d+ bytes of its text"),
        (packed[:-3], f"is cut off after {len(text_of(folder))} bytes of its text"),
        (packed[:5], "is cut off after 0 bytes"),
        (text_of(folder), "is no gzip file"),
        (b"\x1f", "is no gzip file"),
        (damaged(packed, len(packed) - 8), r"is damaged after \d+ bytes .*data check"),
        (damaged(packed, len(packed) - 4), r"is damaged after \d+ bytes .*length check"),
        (damaged(packed, 3), "is damaged after 0 bytes"),
        (packed + b"more", f"has other bytes behind its end, from byte {len(packed)} on"),
        (packed + b"\0" * 9 + b"x", "has other bytes behind its end"),
        (gzip.compress(b""), "has no lines"),
        (b"", r"day_1\.gz is empty"),
        (
            gzip.compress(b"\0" * 10**6),
            f"has a line of more than {WINDOW} bytes, from byte 0 of text on",
        ),
    ):
        with pytest.raises(DataError, match=complaint) as error:
            list(day(tmp_path, spoilt).blocks(None))
        assert str(tmp_path) in str(error.value)
        assert "day_1.gz" in str(error.value)
        assert "download it again" in str(error.value)


def test_a_day_that_became_shorter_cannot_be_resumed(folder: Path, tmp_path: Path) -> None:
    data = day(tmp_path, gzip.compress(b"".join(lines_of(folder)[:9])))
    with pytest.raises(DataError, match=r"ends after \d+ bytes of text, not 10000000"):
        next(data.blocks({"day": 0, "line": 99, "offset": 10_000_000}))


def test_missing_days_are_all_named(folder: Path, tmp_path: Path) -> None:
    logs(folder).check()
    (tmp_path / "day_2.gz").write_bytes(b"x")
    data = CriteoLogs(tmp_path, CriteoEncoding(50, 256))
    with pytest.raises(DataError) as error:
        data.check()
    said = str(error.value)
    assert said.startswith(f"{tmp_path} lacks day_1.gz, day_3.gz: download ")
    for word in ("ailab.criteo.com", "CC BY-NC-SA 4.0", "without --source", "flights"):
        assert word in said
    assert "\n" not in said
    for number in (1, 2, 3):
        (tmp_path / f"day_{number}.gz").write_bytes(b"x" * (number - 1))
    with pytest.raises(DataError, match=r"day_1\.gz is empty"):
        data.check()
    (tmp_path / "day_3.gz").unlink()
    for ask in (data.size, data.identity, lambda: next(data.blocks(None))):
        with pytest.raises(DataError, match=r"lacks day_3\.gz"):
            ask()
    with pytest.raises(DataError, match=r"day_3\.gz cannot be read \(No such file"):
        open_gzip(tmp_path / "day_3.gz", "mend it").__enter__()


def test_what_fixes_the_records_is_their_identity(folder: Path) -> None:
    data = logs(folder)
    others = [
        replace(data, seed=1),
        replace(data, fraction=0.5),
        replace(data, days=(1,)),
        replace(data, encoding=CriteoEncoding(20, 16)),
    ]
    assert all(other.identity() != data.identity() for other in others)
    assert replace(data, window_bytes=99).identity() == data.identity()
    assert data.identity()["files"] == {
        f"day_{number}.gz": (folder / f"day_{number}.gz").stat().st_size for number in (1, 2)
    }


def test_unpacking_needs_little_memory(tmp_path: Path) -> None:
    """A bomb of 64 MB in 64 KB: no piece is larger than asked for, and little is read ahead."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"\0" * (64 << 20)) * 20)
    with open_gzip(path, "mend it") as reader:
        for _ in range(10):
            assert len(reader.read(1000)) == 1000
        assert reader.offset == 10_000
        assert reader.position < 20_000
        assert len(reader._input) <= 1 << 19
    packed = io.BytesIO(gzip.compress(bytes(range(256)) * 400))
    reader = GzipReader(path, packed, "mend it")
    reader.skip(100_000)
    assert reader.read(10**6) == (bytes(range(256)) * 400)[100_000:]
    assert reader.position == len(packed.getvalue())


def test_generated_days_are_the_same_everywhere(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        generate(folder, 200, days=(1, 4), seed=3)
        assert sorted(path.name for path in folder.iterdir()) == ["day_1.gz", "day_4.gz", MADE]
    head = (folders[0] / "day_1.gz").read_bytes()
    assert head[3] == 0  # no name, no comment
    assert head[4:8] == bytes(4)  # no time
    for name in ("day_1.gz", "day_4.gz", MADE):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    generate(tmp_path / "c", 300, days=(1,), seed=3)
    assert text_of(tmp_path / "c").startswith(text_of(folders[0]))
    assert text_of(folders[0], 1) != text_of(folders[0], 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_nothing_is_generated_twice_or_over_something_else(tmp_path: Path) -> None:
    generate(tmp_path / "logs", 50)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "logs").iterdir()}
    generate(tmp_path / "logs", 50)
    with pytest.raises(DataError, match="holds something else"):
        generate(tmp_path / "logs", 51)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "logs").iterdir()}
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "day_1.gz").write_bytes(zlib.compress(b"real"))
    with pytest.raises(DataError, match="holds something else"):
        generate(tmp_path / "real")
    (tmp_path / "empty").mkdir()
    generate(tmp_path / "empty", 50)
    assert (tmp_path / "empty" / "day_3.gz").is_file()
