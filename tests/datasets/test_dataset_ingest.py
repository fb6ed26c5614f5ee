"""Raw data to records: what is written, what survives a kill, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.datasets import ingest as module
from experiments.datasets.aside import aside
from experiments.datasets.ingest import Passed, ingest, rejected_rows
from experiments.datasets.ingested import MANIFEST, Ingested
from experiments.datasets.ledger import Ledger
from experiments.datasets.raw import Block, Records, Rejected
from experiments.datasets.source import SPLITS, Json, SourceInfo, Split
from experiments.errors import DataError, EnvironmentFault
from tests.conftest import Disk

BLOCK_ROWS = 10


@dataclass(frozen=True)
class Squares:
    """Lines of numbers; a row is a number's first powers, its label whether it is odd."""

    file: Path
    rejects_allowed: float = 0.5
    pause: float = 0.0

    info = SourceInfo("squares", "numbers and their squares", "ours", (2,), ("even", "odd"))
    record_dtype = "int32"
    record_shape = (2,)

    def identity(self) -> Mapping[str, Json]:
        return {"bytes": self.size()}

    def check(self) -> None:
        if not self.file.exists():
            raise DataError(f"{self.file} is missing: write numbers into it")

    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def blocks(self, cursor: Json) -> Iterator[Block]:
        lines = self.file.read_text().splitlines()
        first = cursor if isinstance(cursor, int) else 0
        for start in range(first, len(lines), BLOCK_ROWS):
            time.sleep(self.pause)
            stop = min(start + BLOCK_ROWS, len(lines))
            good = [(n, int(lines[n])) for n in range(start, stop) if lines[n].isdigit()]
            bad = [
                Rejected(str(self.file), f"line {n + 1}", "is no number", lines[n].encode())
                for n in range(start, stop)
                if not lines[n].isdigit()
            ]
            rows: dict[Split, Records] = {}
            for split in SPLITS:
                here = [v for n, v in good if (n % 10 == 9) == (split == "valid")]
                values = np.array(here, np.int32)
                rows[split] = (
                    np.stack([values, values**2], axis=1),
                    (values % 2).astype(np.int16),
                )
            yield Block(rows, stop, 7 * stop, tuple(bad), {"odd": sum(v % 2 for _, v in good)})

    def dense(self, x: NDArray[Any]) -> NDArray[np.float32]:
        return x.astype(np.float32)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 400)
    monkeypatch.setattr(module, "ROWS_AT_LEAST", 0)


@pytest.fixture
def raw(tmp_path: Path) -> Squares:
    file = tmp_path / "numbers"
    file.write_text("".join(f"{n}\n" if n % 50 != 33 else "x\n" for n in range(1000)))
    return Squares(file)


def test_rows_are_had_by_number(raw: Squares, tmp_path: Path) -> None:
    done = ingest(raw, tmp_path / "records")
    done.verify()
    train = [n for n in range(1000) if n % 10 != 9 and n % 50 != 33]
    assert done.manifest.rows("train") == len(train)
    assert done.manifest.rows("valid") == 100
    assert len(done.manifest.shards) > 10
    numbers = np.array([0, 800, 5, 879, 5], np.int64)
    with done.reader("train") as reader:
        x, y = reader.records(numbers)
    expected = np.array(train)[numbers]
    assert np.array_equal(x, np.stack([expected, expected**2], axis=1))
    assert np.array_equal(y, expected % 2)
    assert (x.dtype.name, y.dtype.name) == ("int32", "int16")


def test_the_manifest_counts_what_was_done(raw: Squares, tmp_path: Path) -> None:
    told: list[Passed] = []
    done = ingest(raw, tmp_path / "records", told.append)
    assert done.manifest.noted == {"odd": 500 - 20}
    assert done.manifest.rejected == 20
    first = next(rejected_rows(done.root))
    assert first == Rejected(str(raw.file), "line 34", "is no number", b"x")
    assert told[-1] == Passed(7000, raw.size(), 980, 20)
    said = json.loads((done.root / MANIFEST).read_text())
    assert said["rows"] == {"train": 880, "valid": 100}
    assert said["identity"]["bytes"] == raw.size()
    assert sorted(os.listdir(done.root)) == [
        MANIFEST, "rejected.jsonl", "train", "valid",
    ]  # fmt: skip


INGEST = """
import sys
from pathlib import Path
from experiments.datasets import ingest as module
from tests.datasets.test_dataset_ingest import Squares
module.SHARD_BYTES = 400
module.ingest(Squares(Path(sys.argv[1]), pause=0.02), Path(sys.argv[2]))
"""


def test_what_a_kill_leaves_is_gone_on_from(raw: Squares, tmp_path: Path) -> None:
    whole = ingest(raw, tmp_path / "whole")
    final = tmp_path / "killed"
    kills = 0
    while not final.exists():
        process = subprocess.Popen([sys.executable, "-c", INGEST, str(raw.file), str(final)])
        before = shards(final)
        while process.poll() is None and shards(final) < before + 4:
            time.sleep(0.005)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 2
    again = Ingested.open(final)
    again.verify()
    assert again.manifest == whole.manifest
    assert list(rejected_rows(final)) == list(rejected_rows(whole.root))
    assert sorted(os.listdir(final)) == sorted(os.listdir(whole.root))


def shards(final: Path) -> int:
    return sum(1 for _ in final.parent.glob(f".{final.name}.making/*/*.records"))


def test_records_of_other_code_are_not_gone_on_from(
    raw: Squares, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "small" / "records"
    disk(final.parent, "8k")
    with pytest.raises(EnvironmentFault, match=r"records: cannot be saved \(No space left"):
        ingest(raw, final)
    half = next(final.parent.iterdir())
    disk(final.parent, "10m")
    monkeypatch.setattr(module, "code_version", lambda: "other")
    (half / "train" / "00000.records").write_bytes(b"of another version")
    ingest(raw, final).verify()


def test_a_disk_that_will_be_full_is_named_and_what_is_done_is_kept(
    raw: Squares, tmp_path: Path, disk: Disk
) -> None:
    final = tmp_path / "small" / "records"
    disk(final.parent, "64k")
    with pytest.raises(EnvironmentFault, match=r"records of squares need about .* GiB more"):
        ingest(raw, final)
    (half,) = final.parent.iterdir()
    first = (half / "train" / "00000.records").stat()
    disk(final.parent, "10m")
    (half / f".{MANIFEST}.0123").write_bytes(b"of a kill while it was written")
    done = ingest(raw, final)
    assert (final / "train" / "00000.records").stat().st_ino == first.st_ino
    assert not list(final.glob(f".{MANIFEST}.*"))
    assert done.manifest == ingest(raw, tmp_path / "again").manifest


def test_records_of_another_version_are_refused(
    raw: Squares, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(raw, tmp_path / "records")
    monkeypatch.setattr(module, "RECORDS", module.RECORDS + 1)
    with pytest.raises(DataError, match=r"another version \(records differ\); remove that folder"):
        ingest(raw, tmp_path / "records")


def test_what_was_begun_long_ago_is_removed(raw: Squares, tmp_path: Path) -> None:
    old = tmp_path / ".dropped.making"
    old.mkdir()
    (old / "ledger").write_text("{}")
    os.utime(old, (0, 0))
    ingest(raw, tmp_path / "records")
    assert not old.exists()


def test_too_many_bad_rows_stop_it(raw: Squares, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"11 rows of squares .*at most 0\.10%.*line 534 is no number.*rejected"
    ):
        ingest(replace(raw, rejects_allowed=0.001), tmp_path / "records")


def test_a_line_torn_before_its_end_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(b'{"a":1}\n{"b":2}')
    with Ledger(path) as ledger:
        assert ledger.lines == [{"a": 1}]
        ledger.append({"c": 3})
    with Ledger(path) as ledger:
        assert ledger.lines == [{"a": 1}, {"c": 3}]


def test_one_that_was_overtaken_takes_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process publishes between the look for the folder and its making."""
    final = tmp_path / "records"

    def late(folder: Path) -> None:
        final.mkdir()
        (final / "something").touch()
        folder.mkdir()

    monkeypatch.setattr("experiments.datasets.aside.make_folder", late)
    with aside(final) as folder:
        assert folder is None
    assert os.listdir(tmp_path) == ["records"]


def test_missing_files_are_named_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="numbers is missing: write"):
        ingest(Squares(tmp_path / "numbers"), tmp_path / "records")
    assert os.listdir(tmp_path) == []


def test_other_raw_data_are_not_mixed_in(raw: Squares, tmp_path: Path) -> None:
    ingest(raw, tmp_path / "records")
    raw.file.write_text("1\n" * 20)
    with pytest.raises(DataError, match=r"records was made from other raw data.*\(bytes differ\)"):
        ingest(raw, tmp_path / "records")


def test_no_rows_are_refused(tmp_path: Path) -> None:
    raw = Squares(tmp_path / "numbers")
    raw.file.write_text("1\n2\n")
    with pytest.raises(DataError, match="squares has no valid rows"):
        ingest(raw, tmp_path / "records")


@pytest.mark.parametrize("damage", ["cut short", "flipped", "missing", "manifest"])
def test_damaged_records_are_named(raw: Squares, tmp_path: Path, damage: str) -> None:
    root = ingest(raw, tmp_path / "records").root
    path = root / ("train/00001.records" if damage != "manifest" else MANIFEST)
    good = path.read_bytes()
    match damage:
        case "cut short":
            path.write_bytes(good[:-3])
        case "flipped":
            path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        case "missing":
            path.unlink()
        case _:
            path.write_text("{}")
    with pytest.raises(DataError, match=f"{path}.*remove the folder {root}"):
        Ingested.open(root).verify()
