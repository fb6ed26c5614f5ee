"""Samples on disk: torn ends, damage, Parquet; and the sampler's process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.errors import DataError
from experiments.paths import CHECKOUT
from experiments.telemetry import store
from experiments.telemetry.readings import Header, Sample
from experiments.telemetry.store import HEADERS, LIVE, LiveFile

HEADER = Header(0, "run", "boot", "net", "pid", 2, 0.5, 1000.0, 5_000_000_000, {"lo": "cluster"})


def sample(number: int) -> Sample:
    readings = {"host": {"": {"user_us": number * 100}}, "disk": {"vda": {"read_bytes": number}}}
    return Sample(number * 1_000_000_000, 995.0 + number, readings)


def live(path: Path, *numbers: int) -> Path:
    file = LiveFile(path)
    file.header(HEADER)
    for number in numbers:
        file.sample(sample(number))
    file.close()
    return path


def test_a_torn_end_is_dropped_and_cut_off_by_the_next_sampler(tmp_path: Path) -> None:
    path = live(tmp_path / "node-0.jsonl", 5, 6)
    with path.open("ab") as file:
        file.write(b'{"at":[7')
    headers, samples = store.read_live(path)
    assert headers == [HEADER]
    assert [each for _, each in samples] == [sample(5), sample(6)]
    live(path, 8)
    headers, samples = store.read_live(path)
    assert len(headers) == 2
    assert [(start, each.mono_ns // 1_000_000_000) for start, each in samples] == [
        (0, 5),
        (0, 6),
        (1, 8),
    ]


def test_damage_before_the_end_is_named(tmp_path: Path) -> None:
    path = live(tmp_path / LIVE.format(3), 5)
    path.write_bytes(path.read_bytes() + b"{}\n" + b'{"at":[1,2]}\n')
    (error,) = store.keep_all(tmp_path, tmp_path / "kept")
    assert f"{path}: line 3 is no sample" in str(error)
    assert store.kept_files(tmp_path / "kept") == []


def test_what_is_kept_is_what_was_sampled(tmp_path: Path) -> None:
    live(tmp_path / LIVE.format(0), 5, 6)
    assert store.keep_all(tmp_path, tmp_path / "kept") == []
    (path,) = store.kept_files(tmp_path / "kept")
    headers, table = store.read(path)
    assert headers == [HEADER]
    assert headers[0].offset_s == 995.0
    assert table.select(["mono_ns", "source", "name", "counter", "value"]).to_pylist() == [
        {"mono_ns": at, "source": source, "name": name, "counter": counter, "value": value}
        for at, number in ((5_000_000_000, 5), (6_000_000_000, 6))
        for source, name, counter, value in (
            ("host", "", "user_us", number * 100),
            ("disk", "vda", "read_bytes", number),
        )
    ]
    assert HEADERS in table.schema.metadata


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node-0.parquet"
    path.write_bytes(b"no Parquet")
    with pytest.raises(DataError, match="is no file of samples"):
        store.read(path)


SAMPLER = """
import sys
from pathlib import Path
from experiments.telemetry.sampler import Sampler, run
run(Sampler("run", "cluster", 0, "127.0.0.1"), Path(sys.argv[1]), float(sys.argv[2]))
"""


def start(path: Path, period: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SAMPLER, str(path), str(period)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )


def wait_for(path: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or len(store.read_live(path)[1]) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_sample_comes_at_once_and_one_when_it_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "node-0.jsonl"
    process = start(path, 60.0)
    wait_for(path, 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    (header,), samples = store.read_live(path)
    assert len(samples) == 2
    assert header.cores == os.cpu_count()
    assert header.interfaces["lo"] == "cluster"
    assert abs(header.offset_s - (time.time() - time.monotonic())) < 1
    first, last = (each.readings for _, each in samples)
    assert last["sampler"][""]["cpu_us"] >= first["sampler"][""]["cpu_us"] > 0
    idle = [each["host"][""]["idle_us"] + each["host"][""]["user_us"] for each in (first, last)]
    assert idle[0] <= idle[1]


def test_a_sampler_that_is_killed_leaves_whole_samples(tmp_path: Path) -> None:
    path = tmp_path / "node-0.jsonl"
    process = start(path, 0.05)
    wait_for(path, 3)
    process.kill()
    process.wait()
    _, before = store.read_live(path)
    again = start(path, 0.05)
    wait_for(path, len(before) + 2)
    again.send_signal(signal.SIGTERM)
    assert again.wait(30) == 0
    headers, samples = store.read_live(path)
    assert len(headers) == 2
    moments = [each.mono_ns for _, each in samples]
    assert moments == sorted(moments)
