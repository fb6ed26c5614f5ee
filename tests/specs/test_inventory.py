"""What an inventory says becomes nodes; what cannot be is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import SpecError
from experiments.specs import inventory
from experiments.specs.inventory import Host, Settings
from experiments.specs.topology import Topology

COMMON = {
    "name": "cerebro",
    "network": "host",
    "subnet": "10.213.0.0/24",
    "engine": "own",
    "storage": "nfs",
    "first_port": 21000,
    "state": "/var/lib/cerebro-ds",
    "threads": "4",
}
TOLD = {
    "nodes": 1,
    "address": "192.0.2.1",
    "data": "/data",
    "folders": [],
    "gpus": "auto",
    "engine_url": "ssh://user@192.0.2.1:22",
}


def settings(**changes: Any) -> Settings:
    return inventory.settings_from({**COMMON, **changes})


def hosts(count: int, **changes: Any) -> list[Host]:
    return [
        inventory.host_from(
            f"worker-{number}", {**TOLD, "address": f"192.0.2.{20 + number}", **changes}
        )
        for number in range(count)
    ]


def test_nodes_are_numbered_in_the_order_of_hosts_and_share_a_hosts_ports() -> None:
    made = inventory.plan(settings(), hosts(3, nodes=2), ["master"])
    assert [(node.number, node.host, node.position) for node in made] == [
        (number, f"worker-{number // 2}", number % 2) for number in range(6)
    ]
    assert made[0].ports["coordinator"] == 21000
    assert (made[2].ports["segment"], made[3].ports["segment"]) == (21003, 21013)
    assert made[3].folder == "/data/1/cerebro-ds-cerebro"


def test_in_a_docker_network_every_node_has_an_address_and_the_same_ports() -> None:
    own = settings(network="docker", storage="volume")
    made = inventory.plan(own, hosts(1, nodes=8), [])
    assert [node.address for node in made] == [f"10.213.0.{10 + number}" for number in range(8)]
    assert {node.ports["worker"] for node in made} == {21004}


def test_the_topology_reads_back_with_engines_and_gpus(tmp_path: Path) -> None:
    members = hosts(2, nodes=2)
    nodes = inventory.plan(settings(), members, ["master"])
    again = inventory.nodes_from(inventory.as_variables(nodes))
    gpus = {"worker-0": ["GPU-a"], "worker-1": []}
    made = inventory.topology(settings(), again, members, gpus)
    made.write(tmp_path / "topology.json")
    assert Topology.read(tmp_path / "topology.json") == made
    assert [node.gpus for node in made.nodes] == [("GPU-a",), ("GPU-a",), (), ()]
    assert {node.engine for node in made.nodes} == {"ssh://user@192.0.2.1:22"}
    assert made.nodes[1].data == Path("/var/lib/cerebro-ds/clusters/cerebro/node-1")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "My cluster"}, "cluster_name is 'My cluster'"),
        ({"network": "bridge"}, "expected host or docker"),
        ({"first_port": 80}, "cluster_first_port is 80: expected 1024 to 65000"),
        ({"first_port": "many"}, "expected a number"),
        ({"subnet": "10.0.0.1/24"}, "has host bits set"),
    ],
)
def test_settings_that_cannot_be_are_named(change: Any, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        settings(**change)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"nodes": 9}, "cluster_nodes of host worker-0 is 9: expected 1 to 8"),
        ({"nodes": 2, "folders": ["/a"]}, "expected one for each of 2 nodes"),
        ({"folders": ["a"]}, "expected absolute paths"),
        ({"gpus": "all"}, "expected auto or a list of UUIDs"),
    ],
)
def test_hosts_that_cannot_be_are_named(change: Any, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        hosts(1, **change)


def test_what_does_not_fit_together_is_named() -> None:
    def plan(own: Settings, members: list[Host], *masters: str) -> None:
        inventory.plan(own, members, masters)

    with pytest.raises(SpecError, match="no host in its group nodes"):
        plan(settings(), [])
    with pytest.raises(SpecError, match="nodes 0 and 1 have one data folder, /a/cerebro-ds"):
        plan(settings(), hosts(1, nodes=2, folders=["/a", "/a/"]), "master")
    first, second = hosts(2)
    with pytest.raises(SpecError, match="have one address"):
        plan(settings(), [first, replace(second, address=first.address)], "master")
    with pytest.raises(SpecError, match="cluster_network is 'docker': 2 hosts have engines"):
        plan(settings(network="docker"), hosts(2), "master")
    with pytest.raises(SpecError, match="cluster_storage is 'folder': 2 hosts have engines"):
        plan(settings(storage="folder"), hosts(2))
    with pytest.raises(SpecError, match="group master has 0 hosts"):
        plan(settings(), hosts(2))
    with pytest.raises(SpecError, match="12 nodes and 8 are the most"):
        plan(settings(), hosts(6, nodes=2), "master")


def test_an_address_that_nobody_knows_is_named() -> None:
    with pytest.raises(SpecError, match="set its cluster_address"):
        inventory.addresses([replace(hosts(1)[0], address="no such host.invalid")])
