"""The size of a log does not matter: memory stays what it is."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from experiments.analysis.release.reading import read_folder
from experiments.specs.release_logs import load
from tests.analysis.release import made_up

SIZE = 200_000_000
MOST = 8_000_000
"""Bytes of memory that reading may take; the log has twenty-five times as many."""


def large(path: Path, block: bytes) -> int:
    """A log of about :data:`SIZE` bytes, of the same block again and again; how many blocks."""
    path.parent.mkdir(parents=True)
    times = SIZE // len(block)
    with path.open("wb") as log:
        for _ in range(times):
            log.write(block)
    return times


def test_memory_does_not_grow_with_a_log(tmp_path: Path) -> None:
    folder = tmp_path / "run_logs" / "2020_08_18_16_47_28"
    made_up.write(folder / "global.log", made_up.global_log("cerebro-ctq", 100))
    lines = made_up.network_log(dict.fromkeys(range(0, 200000, 10), (1024.0, 5.0)))
    block = "".join(f"{line}\n" for line in lines).encode()
    path = tmp_path / "network_logs" / "network_worker0.log"
    times = large(path, block)
    passed = [0, 0]

    def progress(done: int, total: int) -> None:
        passed[0] += done
        passed[1] = total

    spec = load()
    tracemalloc.start()
    try:
        logs = read_folder(tmp_path, spec, progress)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        path.unlink()
    assert most < MOST
    assert passed[0] == passed[1] == len(block) * times + (folder / "global.log").stat().st_size
    (run,) = logs.runs
    assert (
        run.resources["network", "worker0"].sums["received_kBps:experiment"].samples == 10 * times
    )
