"""The size of a log does not matter: memory stays what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from experiments.paths import CHECKOUT
from tests.analysis.release import made_up

SIZE = 200_000_000
MOST = 24_000_000
"""Bytes of memory that reading may take beyond what importing took: an eighth of the log."""

READ = """
import json, resource, sys
from pathlib import Path
from experiments.analysis.release.reading import read_folder
from experiments.specs.release_logs import load

def most():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

spec, passed = load(), []
before = most()
logs = read_folder(Path(sys.argv[1]), spec, lambda done, total: passed.append((done, total)))
(run,) = logs.runs
samples = run.resources["network", "worker0"].sums["received_kBps:experiment"].samples
read = sum(done for done, _ in passed), passed[-1][1]
print(json.dumps({"grown": most() - before, "samples": samples, "read": read}))
"""


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
    lines = made_up.network_log(dict.fromkeys(range(0, 200_000, 10), (1024.0, 5.0)))
    block = "".join(f"{line}\n" for line in lines).encode()
    path = tmp_path / "network_logs" / "network_worker0.log"
    times = large(path, block)
    read = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    path.unlink()
    told = json.loads(read.stdout)
    assert told["grown"] < MOST
    size = len(block) * times + (folder / "global.log").stat().st_size
    assert told["read"] == [size, size]
    assert told["samples"] == 10 * times
