"""What the sampler itself takes of one core, by the number of the run's processes.

Processes that sleep bear the run's mark; a sampler of its own process samples them with the usual
period. The ratio is its processor time by the time it watched, without its start; the goal is less
than one per cent.

    python3 reproduce.py --benchmark telemetry
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.paths import CHECKOUT
from experiments.telemetry import store
from experiments.telemetry.marks import marked
from experiments.telemetry.sampler import PERIOD_SECONDS

CLUSTER = "benchmark-telemetry"
SAMPLER = """
import sys
from pathlib import Path
from experiments.telemetry.sampler import Sampler, run
run(Sampler("benchmark", sys.argv[1], 0, "127.0.0.1"), Path(sys.argv[2]), float(sys.argv[3]))
"""


def ratio(processes: int, seconds: float, period: float, folder: Path) -> tuple[float, float]:
    """Processor seconds by seconds, and bytes written by seconds."""
    sleepers = [
        subprocess.Popen(
            ["sleep", "infinity"], env={**os.environ, **marked(CLUSTER, "worker", number % 8)}
        )
        for number in range(processes)
    ]
    live = folder / f"{processes}.jsonl"
    sampler = subprocess.Popen(
        [sys.executable, "-c", SAMPLER, CLUSTER, str(live), str(period)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    try:
        time.sleep(seconds)
        sampler.send_signal(signal.SIGTERM)
        sampler.wait()
    finally:
        for process in (sampler, *sleepers):
            process.kill()
            process.wait()
    # The first samples look at every process of the machine.
    _, samples = store.read_live(live)
    first, last = samples[1][1], samples[-1][1]
    watched = (last.mono_ns - first.mono_ns) / 1e9
    taken = last.readings["sampler"][""]["cpu_us"] - first.readings["sampler"][""]["cpu_us"]
    return taken / 1e6 / watched, live.stat().st_size / watched


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--period", type=float, default=PERIOD_SECONDS)
    parser.add_argument("--processes", type=int, nargs="+", default=[10, 50, 100])
    options = parser.parse_args(arguments)
    print(f"a sample every {options.period:g} s, {options.seconds:g} s each")
    with tempfile.TemporaryDirectory() as folder:
        for count in options.processes:
            share, written = ratio(count, options.seconds, options.period, Path(folder))
            print(f"{count:4} processes: {100 * share:.3f} % of one core, {written:,.0f} B/s")


if __name__ == "__main__":
    main()
