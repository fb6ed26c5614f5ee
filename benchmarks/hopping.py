"""A hop of a large model state between two segments, against a plain binary ``COPY`` of it.

The state lies in segment 0's model table in rows of 16 MB. Measured in turn, several rounds:
*COPY out*, a client copies it out of segment 0 and throws the bytes away; *COPY out and in*, a
client copies it from segment 0 into segment 1's table, both ways binary; *pull*, segment 1 pulls it
into its session, which is the hop; *pull and write*, it also writes the next version to its own
table and commits, which is the hop and the dump after training.

    python3 reproduce.py --benchmark hopping
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from psycopg2 import Binary

from experiments.paths import state
from experiments.runtime.local import LocalRuntime
from experiments.specs.secrets import Secrets
from experiments.specs.topology import COORDINATOR, SEGMENT
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import Segment
from experiments.warehouse.states import PART_BYTES
from experiments.warehouse.unit_tables import MODEL_TABLE

NAME = "benchmark-hopping"
TABLE = (
    f"CREATE TABLE {MODEL_TABLE} (__dist_key__ integer, mst_key integer, version integer, "
    "part integer, parts integer, bytes bytea);"
    f"ALTER TABLE {MODEL_TABLE} ALTER bytes SET STORAGE EXTERNAL"
)
PULL = """DO LANGUAGE plpython3u $$
from experiments.warehouse.states import StateTable
table = GD.setdefault('table', StateTable())
data = bytes(table.read(1, 0, 0, 0))
if {write}:
    table.write(1, 0, 1, data)
$$"""


class _Sink:
    """Counts and forgets."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        return len(data)


def seconds(action: Callable[[], object]) -> float:
    """Wall time of a call."""
    start = time.monotonic()
    action()
    return time.monotonic() - start


def main() -> None:
    """Run and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    size = options.megabytes * 10**6
    with LocalRuntime(state().clusters / NAME) as runtime:
        topology = runtime.make_topology(NAME, 2, threads=1)
        runtime.start(topology, (COORDINATOR, SEGMENT))
        segments = tuple(Segment(key, *at) for key, at in enumerate(topology.segments))
        cluster = Cluster(topology.coordinator, segments, Secrets(topology.secrets).password())
        cluster.setup()
        with cluster.session(segments[0]) as source, cluster.session(segments[1]) as target:
            times = _measure(source.cursor(), target.cursor(), size, options.repeat)
        runtime.stop(purge=True)
    middles = {name: statistics.median(each) for name, each in times.items()}
    out, across = middles["COPY out"], middles["COPY out and in"]
    print(f"| {options.megabytes} MB state | seconds | over COPY out | over COPY out and in |")
    print("|---|---|---|---|")
    for name, middle in middles.items():
        print(f"| {name} | {middle:.3f} | {middle / out:.2f} | {middle / across:.2f} |")


def _measure(source: Any, target: Any, size: int, repeat: int) -> dict[str, list[float]]:
    source.execute(TABLE)
    target.execute(TABLE)
    data = bytes(range(251)) * (size // 251)
    parts = -(-len(data) // PART_BYTES)
    for part in range(parts):
        piece = Binary(data[part * PART_BYTES : (part + 1) * PART_BYTES])
        source.execute(
            f"INSERT INTO {MODEL_TABLE} VALUES (0, 0, 0, %s, %s, %s)", (part, parts, piece)
        )

    def across() -> None:
        held = io.BytesIO()
        source.copy_expert(f"COPY {MODEL_TABLE} TO STDOUT (FORMAT binary)", held)
        held.seek(0)
        target.copy_expert(f"COPY {MODEL_TABLE} FROM STDIN (FORMAT binary)", held, size=2**20)

    actions: dict[str, Callable[[], object]] = {
        "COPY out": partial(
            source.copy_expert, f"COPY {MODEL_TABLE} TO STDOUT (FORMAT binary)", _Sink()
        ),
        "COPY out and in": across,
        "pull": partial(target.execute, PULL.format(write=False)),
        "pull and write": partial(target.execute, PULL.format(write=True)),
    }
    actions["pull"]()  # connects
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeat):
        for name, action in actions.items():
            times[name].append(seconds(action))
            target.execute(f"TRUNCATE {MODEL_TABLE}")
    return times


if __name__ == "__main__":
    main()
