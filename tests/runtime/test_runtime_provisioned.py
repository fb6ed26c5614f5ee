"""What a run is told of the cluster that stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.errors import EnvironmentFault, SpecError
from experiments.runtime import provisioned
from experiments.specs.topology import Node, Topology, roles_of_node


@pytest.fixture
def three() -> Iterator[Topology]:
    """A cluster of three nodes, of which the first two share a GPU."""
    nodes = tuple(
        Node(
            index,
            f"192.0.2.{index}",
            Path(f"/data/{index}"),
            {role: 2000 + number for number, role in enumerate(roles_of_node(index))},
            gpus=("GPU-a",) if index < 2 else (),
            engine=f"ssh://user@192.0.2.{index}:22",
        )
        for index in range(3)
    )
    made = Topology("three", Path("/run/secrets"), 1, nodes)
    provisioned.topology_file().parent.mkdir(parents=True, exist_ok=True)
    made.write(provisioned.topology_file())
    yield made
    provisioned.topology_file().unlink()


def test_it_reads_back_and_gives_its_first_nodes(three: Topology) -> None:
    assert provisioned.cluster() == three
    assert provisioned.first_nodes(three, 2) == three.nodes[:2]


def test_too_many_workers_are_refused(three: Topology) -> None:
    with pytest.raises(SpecError, match="has 3 nodes and 4 workers are asked for"):
        provisioned.remarks([2, 4], "all")


def test_what_nodes_train_on_is_told(three: Topology) -> None:
    assert provisioned.remarks([2, 3], "all") == [
        "2 of 2 nodes train on GPUs",
        "warning: up to 2 nodes share a GPU",
        "2 of 3 nodes train on GPUs, the others on CPUs",
        "warning: up to 2 nodes share a GPU",
    ]
    with pytest.raises(EnvironmentFault, match="node 2 has no GPU"):
        provisioned.remarks([3], "gpu")


def test_no_cluster_is_told_with_the_command_that_makes_one() -> None:
    with pytest.raises(EnvironmentFault, match="--provision INVENTORY makes one"):
        provisioned.cluster()
