"""Reading a table's rows: from its page files, and in the other ways there are.

Tables of float32 buffers on one segment: random numbers stored EXTERNAL, and images' pixels (bytes
over 255, six in ten of them background, in runs) as lz4 and as pglz. Every way reads all rows into
numpy arrays, in turn, from a warm page cache; the rates are medians. ``readinto`` reads the TOAST
file of the same table into one small buffer, the reader its batches into one of 64 MB.

    python3 reproduce.py --benchmark pagefile
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.datasets.copy_binary import SIGNATURE, TRAILER, ByteStream, FieldReader
from experiments.paths import state
from experiments.runtime.local import LocalRuntime
from experiments.specs.secrets import Secrets
from experiments.specs.topology import COORDINATOR, SEGMENT
from experiments.warehouse.cluster import Cluster, Connection
from experiments.warehouse.dialect import Segment
from experiments.warehouse.pack import STORAGE
from experiments.warehouse.pagefile import Variable, open_table

NAME = "benchmark-pagefile"
BATCH = 2**26
_BUFFER = np.zeros(BATCH, np.uint8)

SPI = """
CREATE OR REPLACE FUNCTION read_rows(name text) RETURNS bigint LANGUAGE plpython3u AS $$
import numpy
return sum(numpy.frombuffer(row["x"], numpy.float32).nbytes
           for row in plpy.cursor(f"SELECT k, x FROM {name}"))
$$
"""


def buffers(storage: str, count: int, size: int) -> Iterator[bytes]:
    """The values of a table: ``count`` of ``size`` bytes."""
    random = np.random.default_rng(5)
    for _ in range(count):
        if storage == "external":
            yield random.random(size // 4, np.float32).tobytes()
            continue
        pixels = random.integers(1, 256, size // 4)
        pixels[np.repeat(random.random(-(-len(pixels) // 14)) < 0.6, 14)[: len(pixels)]] = 0
        yield (pixels / np.float32(255)).astype(np.float32).tobytes()


def make(session: Connection, storage: str, count: int, size: int) -> None:
    """Load one table by COPY."""

    def stream() -> Iterator[bytes]:
        yield SIGNATURE
        for index, value in enumerate(buffers(storage, count, size)):
            head = (2, 2), (4, 4), (index, 4), (len(value), 4)
            yield b"".join(number.to_bytes(width, "big") for number, width in head) + value
        yield TRAILER

    with session.cursor() as cursor:
        cursor.execute(
            f"DROP TABLE IF EXISTS {storage}; CREATE TABLE {storage} (k integer, x bytea);"
            f"ALTER TABLE {storage} ALTER x {STORAGE[storage]}"
        )
        cursor.copy_expert(f"COPY {storage} FROM STDIN (FORMAT binary)", ByteStream(stream()))
        cursor.execute(f"VACUUM {storage}")


def by_readinto(path: Path) -> int:
    """Bytes of a file, through one buffer."""
    buffer, total = bytearray(2**23), 0
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            total += size
    return total


def by_pages(session: Connection, table: str) -> int:
    """By our reader, into one buffer, as ``readinto``."""
    total = 0
    with open_table(session, table) as opened:
        for batch in opened.scan(["k", "x"], BATCH, lambda size: _BUFFER[:size]):
            column = batch.columns["x"]
            assert isinstance(column, Variable)
            total += column.data.view(np.float32).nbytes
    return total


def by_copy(session: Connection, table: str) -> int:
    """By ``COPY … BINARY``, values viewed where they arrived."""
    reader = FieldReader()
    with session.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} TO STDOUT (FORMAT binary)", reader)
    arrays = [np.frombuffer(row[1], np.float32) for row in reader.rows()]
    return sum(array.nbytes for array in arrays)


def by_cursor(session: Connection, table: str) -> int:
    """By a server-side cursor, a row at a time."""
    total = 0
    session.autocommit = False
    with session, session.cursor("rows") as cursor:
        cursor.itersize = 1
        cursor.execute(f"SELECT k, x FROM {table}")
        for _, value in cursor:
            array: npt.NDArray[np.float32] = np.frombuffer(value, np.float32)
            total += array.nbytes
    session.autocommit = True
    return total


def by_spi(session: Connection, table: str) -> int:
    """By PL/Python's cursor, in the segment."""
    with session.cursor() as cursor:
        cursor.execute("SELECT read_rows(%s)", (table,))
        return int(cursor.fetchone()[0])


def rates(ways: Mapping[str, Callable[[], int]], repeat: int) -> dict[str, float]:
    """Median rate of each way, in bytes per second; the first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    sizes = {}
    for _ in range(repeat + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            sizes[name] = way()
            times[name].append(time.perf_counter() - start)
    return {name: sizes[name] / statistics.median(each[1:]) for name, each in times.items()}


def toast_file(session: Connection, table: str) -> Path:
    """First file of a table's TOAST relation."""
    with open_table(session, table) as opened:
        assert opened.catalog.toast is not None
        return opened.catalog.toast


def measure(session: Connection, repeat: int, storages: list[str]) -> dict[str, dict[str, float]]:
    """Rates by table and way."""
    every: dict[str, Callable[[Any, str], int]] = {
        "page files": by_pages,
        "COPY BINARY": by_copy,
        "server-side cursor": by_cursor,
        "PL/Python's SPI cursor": by_spi,
    }
    found = {}
    for storage in storages:
        ways: dict[str, Callable[[], int]] = {
            name: partial(way, session, storage) for name, way in every.items()
        }
        ways["readinto"] = partial(by_readinto, toast_file(session, storage))
        found[storage] = rates(ways, repeat)
    return found


def main() -> None:
    """Run and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--buffer", type=int, default=4, help="megabytes per value")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with LocalRuntime(state().clusters / NAME) as runtime:
        topology = runtime.make_topology(NAME, 1, threads=1)
        runtime.start(topology, (COORDINATOR, SEGMENT))
        segment = Segment(0, *topology.segments[0])
        password = Secrets(topology.secrets).password()
        cluster = Cluster(topology.coordinator, (segment,), password)
        cluster.setup()
        session = cluster.connect(segment)
        with session.cursor() as cursor:
            cursor.execute(SPI)
        sizes = {"external": 1, "lz4": 1, "pglz": 5}
        for storage, less in sizes.items():
            count = options.megabytes // options.buffer // less
            make(session, storage, count, options.buffer * 2**20)
        found = measure(session, options.repeat, list(sizes))
        start = time.process_time()
        per_core = by_pages(session, "pglz") / (time.process_time() - start)
        session.close()
        runtime.stop(purge=True)
    print("| way | " + " | ".join(f"{name}, MB/s | page files over it" for name in found) + " |")
    print("|---|" + "---|---|" * len(found))
    for way in next(iter(found.values())):
        cells = [
            f"{rate[way] / 1e6:,.0f} | {rate['page files'] / rate[way]:.2f}"
            for rate in found.values()
        ]
        print(f"| {way} | " + " | ".join(cells) + " |")
    print(f"\npglz: {per_core / 1e6:,.0f} MB of output per second of processor time.")


if __name__ == "__main__":
    main()
