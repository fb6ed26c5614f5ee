"""What a worker of Direct Access holds: memory over its shard, and the time to read it.

One segment with a packed table of random float32 rows in buffers as the protocol ``equal`` makes
them. A process reads its shard as a worker does and then goes through all rows twice, while its
anonymous and shared memory (page cache aside) is looked at every few milliseconds. What it has
after it has read another, small shard is not counted: interpreter, libraries, compiled code.

    python3 reproduce.py --benchmark shard
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from experiments.approaches.page_shard import PageShard
from experiments.models.buffers import BufferCache
from experiments.models.worker import TRAIN
from experiments.paths import state
from experiments.runtime.local import LocalRuntime
from experiments.specs.load import protocols
from experiments.specs.secrets import Secrets
from experiments.specs.topology import COORDINATOR, SEGMENT, Topology
from experiments.warehouse.cluster import Cluster, Connection
from experiments.warehouse.dialect import PACKED_COLUMNS, Segment
from experiments.warehouse.pack import STORAGE

NAME = "benchmark-shard"
FEATURES, CLASSES = 1024, 10
LOOK_SECONDS = 0.002

FLOATS = """
CREATE OR REPLACE FUNCTION floats(seed integer, count integer) RETURNS bytea
LANGUAGE plpython3u AS $$
import numpy
return numpy.random.default_rng(seed).random(count, numpy.float32).tobytes()
$$
"""


class Found(NamedTuple):
    """Of one process: bytes held, of the tables' files, at the peak over the baseline; seconds."""

    held: int
    files: int
    peak: int
    read: float
    again: float


def make(session: Connection, table: str, buffers: int, rows: int) -> None:
    """A packed table of random rows."""
    columns = ", ".join(f"{name} {kind}" for name, kind in PACKED_COLUMNS.items())
    with session.cursor() as cursor:
        cursor.execute(FLOATS)
        cursor.execute(
            f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({columns});"
            f"ALTER TABLE {table} ALTER independent_var {STORAGE['external']},"
            f" ALTER dependent_var {STORAGE['external']};"
            f"INSERT INTO {table} SELECT 0, floats(i, {rows * FEATURES}), "
            f"decode(repeat('0100' || repeat('0000', {CLASSES - 1}), {rows}), 'hex'), "
            f"ARRAY[{rows}, {FEATURES}], ARRAY[{rows}, {CLASSES}], i "
            f"FROM generate_series(0, {buffers - 1}) i"
        )


def own_memory() -> int:
    """Anonymous and shared bytes of this process, without the files that it has mapped."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return 1024 * sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem"))


@contextlib.contextmanager
def watched() -> Iterator[Callable[[], int]]:
    """Look at this process's memory all along; what the block gets tells the highest seen."""
    highest = own_memory()
    over = threading.Event()

    def look() -> None:
        nonlocal highest
        while not over.wait(LOOK_SECONDS):
            highest = max(highest, own_memory())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield lambda: highest
    finally:
        over.set()
        watcher.join()


def go_through(shard: PageShard, cache: BufferCache) -> None:
    """Touch all rows, as a unit does."""
    with contextlib.closing(shard.blocks(TRAIN)) as blocks:
        for block in blocks:
            x, y = cache.get(block.key) or block.read()
            assert x.sum() > 0 < y.sum()


def measure(small: Topology, topology: Topology, share: float) -> Found:
    """In a process of its own: read a shard into a cache with room for a share of it."""
    for budget in (2**30, 0):  # held, and streamed
        warm, cache = PageShard(small, 0, f"warm {budget}"), BufferCache(budget)
        warm.ready(cache, lambda: None)
        go_through(warm, cache)
    size = PageShard(topology, 0, "size").ready(BufferCache(0), lambda: None)["held"]["shard_bytes"]
    del warm, cache
    baseline = own_memory()
    with watched() as highest:
        shard, cache = PageShard(topology, 0, "measured"), BufferCache(int(size * share))
        start = time.perf_counter()
        held = shard.ready(cache, lambda: None)["held"]
        middle = time.perf_counter()
        go_through(shard, cache)
        end = time.perf_counter()
        go_through(shard, cache)
        peak = max(highest(), own_memory()) - baseline
    return Found(held["held_bytes"], held["file_bytes"], peak, middle - start, end - middle)


def main() -> None:
    """Run and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    options = parser.parse_args()
    rows = protocols()["equal"].buffer_bytes // (4 * FEATURES)
    found = {}
    with contextlib.ExitStack() as stack:
        places = []
        for name, buffers in ((f"{NAME}-small", 4), (NAME, options.megabytes // 4)):
            runtime = stack.enter_context(LocalRuntime(state().clusters / name))
            topology = runtime.make_topology(name, 1, threads=1)
            runtime.start(topology, (COORDINATOR, SEGMENT))
            segment = Segment(0, *topology.segments[0])
            password = Secrets(topology.secrets).password()
            cluster = Cluster(topology.coordinator, (segment,), password)
            cluster.setup()
            with cluster.session(segment) as session:
                make(session, "train_packed", buffers, rows)
                make(session, "valid_packed", 1, rows)
            stack.callback(runtime.stop, purge=True)
            places.append(topology)
        for share in (1.0, 0.5):
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                found[share] = pool.submit(measure, places[0], places[1], share).result()
    print("| room for | held, MB | peak, MB | over held | files over held | read, s | pass, s |")
    print("|---|---|---|---|---|---|---|")
    for share, each in found.items():
        print(
            f"| {share:.0%} | {each.held / 1e6:.0f} | {each.peak / 1e6:.0f} "
            f"| {each.peak / each.held:.2f} | {each.files / each.held:.2f} "
            f"| {each.read:.2f} | {each.again:.2f} |"
        )


if __name__ == "__main__":
    main()
