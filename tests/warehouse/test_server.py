"""A database server that starts again where an earlier one was killed."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from experiments.errors import EnvironmentFault
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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs files of two users")
def test_another_users_data_folder_is_named_and_left_as_it_is(state_folder: Path) -> None:
    name = "not-ours"
    with LocalRuntime(state_folder / "clusters" / name) as runtime:
        topology = runtime.make_topology(name, 1, threads=1)
        runtime.start(topology, [SEGMENT])
        runtime.stop()
        folder = topology.nodes[0].data / SEGMENT
        owner = folder.stat().st_uid
        shutil.chown(folder, 65534)
        before = sorted(folder.iterdir())
        told = f"segment on node 0: {folder} belongs to another user: chown -R {topology.user} "
        with pytest.raises(EnvironmentFault, match=re.escape(told)):
            runtime.start(topology, [SEGMENT])
        assert sorted(folder.iterdir()) == before
        shutil.chown(folder, owner)
        runtime.start(topology, [SEGMENT])
        runtime.stop(purge=True)
