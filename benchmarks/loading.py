"""Loading rows into the segments: our parallel binary COPY against psycopg2's ``execute_values``.

Both load the same float32 rows into fresh tables of the same two segments from one client, all
segments at once; ours includes its check of every row against the files. Memory is the client's
peak of Python allocations (``tracemalloc``) for a tenth of the rows and for all of them.

    python3 reproduce.py --benchmark loading
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

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
        ours, theirs = [], []
        for _ in range(options.repeat):
            ours.append(seconds(lambda: load(cluster, whole, "train", "ours")))
            theirs.append(seconds(lambda: by_values(cluster, whole)))
        peaks = [
            peak_bytes(partial(load, cluster, each, "train", "ours")) for each in (tenth, whole)
        ]
        runtime.stop(purge=True)
    rates = [options.rows / statistics.median(times) for times in (ours, theirs)]
    print("| load | rows per second | over `execute_values` |")
    print("|---|---|---|")
    print(f"| binary COPY per segment, checked | {rates[0]:,.0f} | {rates[0] / rates[1]:.1f} |")
    print(f"| `execute_values` | {rates[1]:,.0f} | 1 |")
    print(
        f"\nPeak memory of the client: {peaks[0] / 2**20:.1f} MiB for {options.rows // 10:,} rows, "
        f"{peaks[1] / 2**20:.1f} MiB for {options.rows:,}."
    )


if __name__ == "__main__":
    main()
