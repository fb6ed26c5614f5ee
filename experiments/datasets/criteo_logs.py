"""Criteo's terabyte click logs, ``day_*.gz``: streamed, sampled, encoded; real days or generated.

The release wrote every line to one of two files with Python's ``random``, seeded 2018, and then
took 2.5 % of them with pandas' ``sample``, seeded 42. Its random numbers are not reproduced: the
first belong to Python 2 and to one pass over all lines from the first, the second are drawn over
whole files, in memory, one for each of 8 partitions whose making the release does not hold. Here a
line's fate is a hash of seed, day and line number. So fractions are those of the paper (2.5 %, a
tenth of it for validation), and the rows neither depend on blocks nor on where a run is resumed.

Lines outside the sample are counted, not parsed: what is wrong with them is not seen.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.criteo_encoding import CATEGORIES, COUNTS, CriteoEncoding
from experiments.datasets.gzipped import GzipReader, open_gzip
from experiments.datasets.raw import Block, Records, Rejected
from experiments.datasets.shuffle import key64, mix64
from experiments.datasets.slots import dense
from experiments.datasets.source import SPLITS, Json, SourceInfo, Split
from experiments.errors import DataError

PAGE = "https://ailab.criteo.com/download-criteo-1tb-click-logs-dataset/"
LICENCE = "CC BY-NC-SA 4.0"
DAYS = (1, 2, 3)
"""The days of the paper; the logs begin with day 0."""

FRACTION, VALID = 0.025, 0.1
"""The paper's sample of all lines, and validation's share of it."""

WINDOW_BYTES = 1 << 20
"""Of text that is looked at together: few enough for the caches, and the longest line."""

_MOST_WINDOWS = 64
_CONTENT_BYTES = 1 << 12
_BITS = 53  # fractions are exact: a float64 holds as many
_NEWLINE = ord("\n")


def day_file(day: int) -> str:
    """The name of a day's file."""
    return f"day_{day}.gz"


@dataclass(frozen=True)
class CriteoLogs:
    """Days of click logs as :class:`~experiments.datasets.raw.RawData`.

    Attributes
    ----------
    folder : holds ``day_N.gz``.
    encoding : buckets and slots, which fix the number of columns.
    days : those that are read, in this order.
    fraction : of all lines that are read.
    seed : of the sample and the split.
    generated : they were made by :func:`~experiments.datasets.criteo_generator.generate`.
    window_bytes : :data:`WINDOW_BYTES`; the records do not depend on it.
    """

    folder: Path
    encoding: CriteoEncoding
    days: tuple[int, ...] = DAYS
    fraction: float = FRACTION
    seed: int = 2018
    generated: bool = False
    window_bytes: int = WINDOW_BYTES

    @property
    def info(self) -> SourceInfo:
        made = "generated click logs in the format of" if self.generated else "click logs of"
        return SourceInfo(
            name=f"criteo-{'generated-' if self.generated else ''}{self.encoding.columns}",
            description=f"{made} the Criteo 1TB Click Logs, encoded as the paper's",
            licence="Apache-2.0 (generated)" if self.generated else LICENCE,
            input_shape=(self.encoding.columns,),
            class_names=("no click", "click"),
        )

    @property
    def record_dtype(self) -> str:
        return "int16"

    @property
    def record_shape(self) -> tuple[int, ...]:
        return (COUNTS + CATEGORIES,)

    @property
    def rejects_allowed(self) -> float:
        return 0.001

    def identity(self) -> Mapping[str, Json]:
        return {
            "files": {path.name: path.stat().st_size for path in self._paths()},
            "fraction": self.fraction,
            "valid": VALID,
            "seed": self.seed,
            "buckets": self.encoding.buckets,
            "slots": self.encoding.slots,
        }

    def check(self) -> None:
        """Look for all days.

        Raises
        ------
        DataError
            Days are missing or empty; names all of them.
        """
        missing = [path.name for path in self._paths() if not path.is_file()]
        if missing:
            raise DataError(
                f"{self.folder} lacks {', '.join(missing)}: {self._origin()} into this folder, "
                "under these names and still packed. Without them, generated click logs run "
                "(python3 reproduce.py --data criteo --scale smoke), and so do the flights"
            )
        empty = [path.name for path in self._paths() if not path.stat().st_size]
        if empty:
            raise DataError(f"{self.folder}: {', '.join(empty)} is empty; {self._remedy()}")

    def _paths(self) -> list[Path]:
        return [self.folder / day_file(day) for day in self.days]

    def _origin(self) -> str:
        if self.generated:
            return "generate them"
        return (
            f"download these days of the Criteo 1TB Click Logs dataset from {PAGE} (their licence "
            f"is {LICENCE}, not that of this project)"
        )

    def _remedy(self) -> str:
        if self.generated:
            return f"remove {self.folder} and give the same command again"
        return f"download it again from {PAGE}"

    def size(self) -> int:
        return sum(path.stat().st_size for path in self._paths())

    def dense(self, x: NDArray[Any]) -> NDArray[np.float32]:
        return dense(x, self.encoding.columns)

    def blocks(self, cursor: Json) -> Iterator[Block]:
        """All sampled lines; see :class:`~experiments.datasets.raw.RawData`.

        A cursor is a day's place among the days, lines before it, and the bytes of text that they
        are. Gzip cannot be entered in the middle, so the text before a cursor is unpacked again.

        Raises
        ------
        DataError
            A day is missing, no gzip file, cut off or damaged, has no lines or one of more than
            ``window_bytes``; names the file and the place.
        """
        first, line, offset = _entered(cursor)
        paths = self._paths()
        before = sum(path.stat().st_size for path in paths[:first])
        for number, path in enumerate(paths[first:], first):
            with (
                open_gzip(path, self._remedy()) as reader,
                closing(_ahead(_windows(reader, self.window_bytes, offset))) as windows,
            ):
                day = _Day(self, number, line, before)
                per_block = min(max(round(4 / self.fraction), 1), _MOST_WINDOWS)
                block = _Making()
                for count, window in enumerate(windows, 1):
                    day.take(window, block)
                    if window.last or count % per_block == 0:
                        yield block.finished()
                        block = _Making()
            before += path.stat().st_size
            line = offset = 0


def _entered(cursor: Json) -> tuple[int, int, int]:
    if not isinstance(cursor, dict):
        return 0, 0, 0
    day, line, offset = (cursor[name] for name in ("day", "line", "offset"))
    assert isinstance(day, int)
    assert isinstance(line, int)
    assert isinstance(offset, int)
    return day, line, offset


@dataclass(frozen=True)
class _Window:
    """Whole lines of a day.

    Attributes
    ----------
    text : the lines, each ended by a newline.
    cut_off : what stands behind the last newline of a day.
    last : the day ends here.
    end : bytes of the day's text up to here.
    position : bytes of the packed file used up to here.
    """

    text: bytes
    cut_off: bytes
    last: bool
    end: int
    position: int


def _windows(reader: GzipReader, size: int, offset: int) -> Iterator[_Window]:
    """A day from ``offset`` on; where one begins decides where all later ones do."""
    reader.skip(offset)
    rest = b""
    last = False
    while not last:
        text = rest + reader.read(size - len(rest))
        last = len(text) < size
        if last and not reader.offset:
            raise reader.bad("has no lines")
        whole = text.rfind(b"\n") + 1
        if not whole and not last:
            raise reader.bad(
                f"has no click log's lines: none ends in {size} bytes of text, "
                f"from byte {reader.offset - size} on"
            )
        rest = text[whole:]
        end = reader.offset - len(rest)
        yield _Window(text[:whole], rest if last else b"", last, end, reader.position)


def _ahead(windows: Iterator[_Window]) -> Generator[_Window, None, None]:
    """The same windows; while one is used, a thread unpacks the next."""
    with ThreadPoolExecutor(1, "unpack") as pool:
        coming = pool.submit(next, windows, None)
        while (window := coming.result()) is not None:
            coming = pool.submit(next, windows, None)
            yield window


@dataclass
class _Making:
    """A block that is being filled."""

    cursor: dict[str, Json] = field(default_factory=dict)
    position: int = 0
    parts: dict[Split, list[Records]] = field(default_factory=lambda: {name: [] for name in SPLITS})
    rejected: list[Rejected] = field(default_factory=list)

    def finished(self) -> Block:
        """What was taken, and the place behind it."""
        rows = {}
        for split, parts in self.parts.items():
            slots, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
            if len(labels):
                rows[split] = (slots, labels)
        return Block(rows, self.cursor, self.position, tuple(self.rejected))


class _Day:
    """Takes the lines of one day.

    Parameters
    ----------
    number : the day's place among the days.
    line : lines before the first that comes.
    before : bytes of the packed days before it.
    """

    def __init__(self, logs: CriteoLogs, number: int, line: int, before: int) -> None:
        self._encoding = logs.encoding
        self._number, self._line, self._before = number, line, before
        day = logs.days[number]
        self._file = str(logs.folder / day_file(day))
        self._sampled = _Lot(key64("criteo logs", logs.seed, day, "sample"), logs.fraction)
        self._valid = _Lot(key64("criteo logs", logs.seed, day, "valid"), VALID)

    def take(self, window: _Window, block: _Making) -> None:
        """Add a window's sampled lines to a block."""
        ends = np.flatnonzero(np.frombuffer(window.text, np.uint8) == _NEWLINE) + 1
        chosen = np.flatnonzero(self._sampled.falls_on(self._line + np.arange(len(ends))))
        starts = np.concatenate([[0], ends])[chosen].tolist()
        lines = [
            window.text[start:end] for start, end in zip(starts, ends[chosen].tolist(), strict=True)
        ]
        sifted = self._encoding.sift(b"".join(lines))
        numbers = self._line + chosen
        for index, why in sorted(sifted.bad.items()):
            self._reject(block, int(numbers[index]), why, lines[index])
        valid = self._valid.falls_on(numbers[sifted.kept])
        for split in SPLITS:
            here = valid == (split == "valid")
            block.parts[split].append((sifted.slots[here], sifted.labels[here]))
        self._line += len(ends)
        if window.cut_off:
            self._reject(
                block, self._line, "is cut off: it ends the file without a newline", window.cut_off
            )
        block.position = self._before + window.position
        block.cursor = {"day": self._number, "line": self._line, "offset": window.end}
        if window.last:
            block.cursor = {"day": self._number + 1, "line": 0, "offset": 0}

    def _reject(self, block: _Making, line: int, why: str, content: bytes) -> None:
        short = content if len(content) <= _CONTENT_BYTES else b""
        block.rejected.append(Rejected(self._file, f"line {line + 1}", why, short))


class _Lot:
    """Falls on a share of all numbers, by their hash."""

    def __init__(self, key: np.uint64, share: float) -> None:
        self._key = key
        self._below = np.uint64(round(share * 2**_BITS))

    def falls_on(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        hashes = mix64(numbers.astype(np.uint64) ^ self._key) >> np.uint64(64 - _BITS)
        chosen: NDArray[np.bool_] = hashes < self._below
        return chosen
