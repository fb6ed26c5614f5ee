"""A database server that starts again where an earlier one was killed."""

from __future__ import annotations

from pathlib import Path

from experiments.runtime.local import LocalRuntime
from experiments.specs.topology import SEGMENT


def test_a_lock_file_that_a_killed_start_left_empty_is_no_obstacle(state_folder: Path) -> None:
    name = "torn-lock"
    with LocalRuntime(state_folder / "clusters" / name) as runtime:
        topology = runtime.make_topology(name, 1, threads=1)
        runtime.start(topology, [SEGMENT])
        runtime.stop()
        (topology.nodes[0].data / SEGMENT / "postmaster.pid").touch()
        runtime.start(topology, [SEGMENT])
        runtime.stop(purge=True)
