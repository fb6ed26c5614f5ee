"""Unloading rows from the segments to Parquet against PostgreSQL's own COPY of the same rows.

The yardsticks are the servers' own, ``COPY … TO PROGRAM 'cat > /dev/null'`` and ``COPY … TO`` a
file, both binary, on all segments at once, with no client and nothing checked. Ours compares
every block with what the segment holds, writes Parquet and puts it on disk. The rows beneath tell
what each part costs. Medians of rounds in turn.

    python3 reproduce.py --benchmark unloading
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.approaches.in_database import cluster_of
from experiments.datasets import prepare
from experiments.datasets.copy_binary import RowReader
from experiments.paths import state
from experiments.runtime.local import LocalRuntime
from experiments.specs.model import DatasetSpec
from experiments.specs.topology import COORDINATOR, SEGMENT
from experiments.warehouse import sums
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.load import load
from experiments.warehouse.unload import BLOCK_BYTES, Cast, unload

NAME = "benchmark-unloading"
TABLE = "ours"
ROWS = f"COPY (SELECT id, x, y FROM {TABLE} ORDER BY id) TO"


class Nowhere:
    """A writable file that forgets."""

    def write(self, chunk: bytes) -> int:
        return len(chunk)


def main() -> None:
    """Run and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--segments", type=int, default=2)
    options = parser.parse_args()
    data = prepare(DatasetSpec(options.dataset, options.rows, 100), options.segments, seed=1)
    with LocalRuntime(state().clusters / NAME) as runtime:
        topology = runtime.make_topology(NAME, options.segments, threads=1)
        runtime.start(topology, (COORDINATOR, SEGMENT))
        cluster = cluster_of(topology)
        cluster.setup()
        load(cluster, data, "train", TABLE)
        width = data.partition("train", 0).x[0].size
        folder = state().root / NAME
        folder.mkdir(exist_ok=True)
        if topology.user:
            shutil.chown(folder, topology.user)
        ways = _ways(cluster, width, folder)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.repeat):
            for name, way in ways.items():
                for file in folder.iterdir():
                    file.unlink()
                start = time.monotonic()
                way()
                times[name].append(time.monotonic() - start)
        shutil.rmtree(folder)
        runtime.stop(purge=True)
    medians = {name: statistics.median(found) for name, found in times.items()}
    null, filed = list(medians.values())[:2]
    print(f"{options.rows:,} rows of {4 * width:,} bytes, {options.segments} segment(s)\n")
    print("| unload | seconds | rows per second | over COPY to /dev/null | over COPY to a file |")
    print("|---|---|---|---|---|")
    for name, median in medians.items():
        print(
            f"| {name} | {median:.3f} | {options.rows / median:,.0f} | {median / null:.2f} "
            f"| {median / filed:.2f} |"
        )


def _ways(cluster: Cluster, width: int, folder: Path) -> Mapping[str, Callable[[], object]]:
    block = max(1, BLOCK_BYTES // (4 * width))

    def everywhere(action: Callable[[Any, int], object]) -> Callable[[], object]:
        def one(segment: Any) -> None:
            with cluster.session(segment) as session, session.cursor() as cursor:
                session.autocommit = False
                cursor.execute(sums.IN_KEY_ORDER)
                action(cursor, segment.key)

        return lambda: cluster.on_segments(one)

    def client(cursor: Any, sink: Any) -> None:
        cursor.copy_expert(f"{ROWS} STDOUT (FORMAT binary)", sink)

    def to_file(cursor: Any, key: int) -> None:
        cursor.execute(f"{ROWS} '{folder}/{key}.copy' (FORMAT binary)")

    def apart(cursor: Any, key: int) -> None:
        reader = RowReader(width, block, lambda *columns: None)
        client(cursor, reader)
        reader.finish()

    return {
        "COPY to /dev/null, by the servers": everywhere(
            lambda cursor, key: cursor.execute(f"{ROWS} PROGRAM 'cat > /dev/null' (FORMAT binary)")
        ),
        "COPY to a file, by the servers": everywhere(to_file),
        "unload, lists": lambda: unload(cluster, TABLE, folder),
        "unload, lists of fixed size": lambda: unload(
            cluster, TABLE, folder, Cast(fixed_size=True)
        ),
        "COPY to a client that forgets": everywhere(lambda cursor, key: client(cursor, Nowhere())),
        "COPY to a client, taken apart": everywhere(apart),
        "sums in the segments": everywhere(lambda cursor, key: sums.of_table(cursor, TABLE, block)),
    }


if __name__ == "__main__":
    main()
