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

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.criteo_day import VALID, Day, Taken
from experiments.datasets.criteo_encoding import CATEGORIES, COUNTS, CriteoEncoding
from experiments.datasets.gzipped import open_gzip
from experiments.datasets.raw import Block
from experiments.datasets.slots import dense
from experiments.datasets.source import SPLITS, Json, SourceInfo
from experiments.datasets.text_windows import ahead, windows
from experiments.errors import DataError

PAGE = "https://ailab.criteo.com/download-criteo-1tb-click-logs-dataset/"
LICENCE = "CC BY-NC-SA 4.0"
DAYS = (1, 2, 3)
"""The days of the paper; the logs begin with day 0."""

FRACTION = 0.025
"""The paper's sample of all lines."""

WINDOW_BYTES = 1 << 20
"""Of text that is looked at together: few enough for the caches, and the longest line."""

_BLOCK_WINDOWS, _MOST_WINDOWS = 4, 64
"""In a block: as many as hold four windows of sampled text, but not more than 64 MB of text."""


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
            name="criteo-generated" if self.generated else "criteo",
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
        self.check()
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
                "(python3 reproduce.py --data criteo, without --source), and so do the flights"
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
        self.check()
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
        self.check()
        first, line, offset = _entered(cursor)
        paths = self._paths()
        sizes = [path.stat().st_size for path in paths]
        per_block = min(max(round(_BLOCK_WINDOWS / self.fraction), 1), _MOST_WINDOWS)
        for place in range(first, len(paths)):
            day = Day(paths[place], self.days[place], self.encoding, self.fraction, self.seed, line)
            before = sum(sizes[:place])
            taken = []
            with (
                open_gzip(paths[place], self._remedy()) as reader,
                closing(ahead(windows(reader, self.window_bytes, offset))) as pieces,
            ):
                for count, window in enumerate(pieces, 1):
                    taken.append(day.take(window))
                    if window.last:
                        yield _block(taken, (place + 1, 0, 0), before + window.position)
                    elif count % per_block == 0:
                        here = (place, day.line, window.end)
                        yield _block(taken, here, before + window.position)
                        taken = []
            line = offset = 0


def _block(parts: Sequence[Taken], place: tuple[int, int, int], position: int) -> Block:
    rows = {}
    for split in SPLITS:
        slots, labels = (
            np.concatenate(part) for part in zip(*(each.rows[split] for each in parts), strict=True)
        )
        if len(labels):
            rows[split] = (slots, labels)
    cursor: dict[str, Json] = dict(zip(("day", "line", "offset"), place, strict=True))
    return Block(rows, cursor, position, tuple(bad for each in parts for bad in each.rejected))


def _entered(cursor: Json) -> tuple[int, int, int]:
    if not isinstance(cursor, dict):
        return 0, 0, 0
    day, line, offset = (cursor[name] for name in ("day", "line", "offset"))
    assert isinstance(day, int)
    assert isinstance(line, int)
    assert isinstance(offset, int)
    return day, line, offset
