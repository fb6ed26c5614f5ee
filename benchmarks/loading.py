"""Loading rows into the segments: our parallel binary COPY against psycopg2's ``execute_values``,
and against PostgreSQL's own COPY.

All load the same float32 rows into fresh tables of the same two segments at once: the first two
from one client, the servers' own from binary files beside them, which no client has to make or to
send. Ours includes its primary key and its check of every row against the files. Memory is the
client's peak of Python allocations (``tracemalloc``) for a tenth of the rows and for all of them.

    python3 reproduce.py --benchmark loading
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

from psycopg2 import Binary
from psycopg2.extras import execute_values

from experiments.datasets import PreparedDataset, prepare
from experiments.paths import state
from experiments.runtime.local import LocalRuntime
from experiments.specs.model import DatasetSpec
from experiments.specs.secrets import Secrets
from experiments.specs.topology import COORDINATOR, SEGMENT
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import Segment
from experiments.warehouse.load import load

WORKERS = 2
NAME = "benchmark-loading"


def by_values(cluster: Cluster, dataset: PreparedDataset) -> None:
    """All rows by ``execute_values``, both segments at once."""

    def one(segment: Segment) -> None:
        part = dataset.partition("train", segment.key)
        with cluster.session(segment) as session, session.cursor() as cursor:
            session.autocommit = False
            cursor.execute("DROP TABLE IF EXISTS by_values")
            cursor.execute("CREATE TABLE by_values (k integer, id bigint, x bytea, y smallint)")
            cursor.execute("ALTER TABLE by_values ALTER x SET STORAGE EXTERNAL")
            rows = (
                (segment.key, index, Binary(part.x[index].tobytes()), int(part.y[index]))
                for index in range(len(part.y))
            )
            execute_values(cursor, "INSERT INTO by_values VALUES %s", rows, page_size=500)
            session.commit()

    cluster.on_segments(one)


def by_servers(cluster: Cluster, folder: Path) -> None:
    """All rows by the segments themselves, from files that :func:`write_files` made."""

    def one(segment: Segment) -> None:
        with cluster.session(segment) as session, session.cursor() as cursor:
            session.autocommit = False
            cursor.execute("DROP TABLE IF EXISTS by_servers; CREATE TABLE by_servers (LIKE ours)")
            cursor.execute("ALTER TABLE by_servers ALTER x SET STORAGE EXTERNAL")
            cursor.execute("ALTER TABLE by_servers SET (toast_tuple_target = 8160)")
            cursor.execute(f"COPY by_servers FROM '{folder}/{segment.key}' (FORMAT binary)")
            session.commit()

    cluster.on_segments(one)


def write_files(cluster: Cluster, folder: Path, user: str | None) -> None:
    """The rows of each segment in PostgreSQL's binary format, where the segments may write."""
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        shutil.chown(folder, user)

    def one(segment: Segment) -> None:
        with cluster.session(segment) as session, session.cursor() as cursor:
            cursor.execute(f"COPY ours TO '{folder}/{segment.key}' (FORMAT binary)")

    cluster.on_segments(one)


def seconds(action: Callable[[], object]) -> float:
    """Wall time of a call."""
    start = time.monotonic()
    action()
    return time.monotonic() - start


def peak_bytes(action: Callable[[], object]) -> int:
    """Peak of Python allocations during a call."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> None:
    """Run and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    whole = prepare(DatasetSpec("fashion-mnist", options.rows, 100), WORKERS, seed=1)
    tenth = prepare(DatasetSpec("fashion-mnist", options.rows // 10, 100), WORKERS, seed=1)
    with LocalRuntime(state().clusters / NAME) as runtime:
        topology = runtime.make_topology(NAME, WORKERS, threads=1)
        runtime.start(topology, (COORDINATOR, SEGMENT))
        cluster = Cluster(
            topology.coordinator,
            tuple(Segment(key, *endpoint) for key, endpoint in enumerate(topology.segments)),
            Secrets(topology.secrets).password(),
        )
        cluster.setup()
        folder = state().root / NAME
        load(cluster, whole, "train", "ours")
        write_files(cluster, folder, topology.user)
        ours, theirs, servers = [], [], []
        for _ in range(options.repeat):
            ours.append(seconds(lambda: load(cluster, whole, "train", "ours")))
            theirs.append(seconds(lambda: by_values(cluster, whole)))
            servers.append(seconds(lambda: by_servers(cluster, folder)))
        shutil.rmtree(folder)
        peaks = [
            peak_bytes(partial(load, cluster, each, "train", "ours")) for each in (tenth, whole)
        ]
        runtime.stop(purge=True)
    names = ("binary COPY per segment, checked", "`execute_values`", "COPY FROM a file")
    rates = [options.rows / statistics.median(times) for times in (ours, theirs, servers)]
    print("| load | rows per second | over `execute_values` | over COPY FROM a file |")
    print("|---|---|---|---|")
    for name, rate in zip(names, rates, strict=True):
        print(f"| {name} | {rate:,.0f} | {rate / rates[1]:.1f} | {rate / rates[2]:.2f} |")
    print(
        f"\nPeak memory of the client: {peaks[0] / 2**20:.1f} MiB for {options.rows // 10:,} rows, "
        f"{peaks[1] / 2**20:.1f} MiB for {options.rows:,}."
    )


if __name__ == "__main__":
    main()
