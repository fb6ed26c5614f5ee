"""The sampler's place among the roles: nodes, containers, environment."""

from __future__ import annotations

from pathlib import Path

from experiments.runtime.definitions import DRIVER, ENDPOINT_VARIABLE, Definitions, node_binds
from experiments.runtime.images import image_of
from experiments.specs.topology import (
    LOOPBACK,
    SAMPLER,
    STARTED_ROLES,
    WORKER,
    Node,
    Topology,
    roles_of_node,
)
from experiments.telemetry.marks import MARK_VARIABLE


def node(index: int, address: str) -> Node:
    ports = {role: 6000 + number for number, role in enumerate(roles_of_node(index))}
    return Node(index, address, Path(f"/data/{index}"), ports, (f"GPU-{index}",))


def topology(*addresses: str) -> Topology:
    nodes = tuple(node(index, address) for index, address in enumerate(addresses))
    return Topology("sampled", Path("/secrets"), 1, nodes)


def definitions() -> Definitions:
    roles = (*STARTED_ROLES, DRIVER)
    return Definitions(
        cluster="sampled",
        owner="/state",
        images=dict.fromkeys(roles, "sha256:0"),
        user="1:1",
        environment={},
        memory=dict.fromkeys(roles, 1),
        cores=1.0,
    )


def test_one_watches_every_node_or_all_that_one_machine_has() -> None:
    apart = topology("10.0.0.2", "10.0.0.3")
    assert [each.index for each in apart.nodes_of(SAMPLER)] == [0, 1]
    together = topology(LOOPBACK, LOOPBACK)
    assert [each.index for each in together.nodes_of(SAMPLER)] == [0]


def test_its_container_sees_its_node_and_listens_on_nothing() -> None:
    """Only its definition is tested here; tests/e2e/test_docker.py runs all roles."""
    watched = node(1, "10.0.0.3")
    made = definitions().role(SAMPLER, watched, node_binds(SAMPLER, watched), 1)
    assert made["environment"][MARK_VARIABLE] == "sampled/sampler/1"
    assert ENDPOINT_VARIABLE not in made["environment"]
    assert made["pid_mode"] == made["network_mode"] == "container:cerebro-ds-sampled-holder-1"
    assert made["device_requests"][0]["DeviceIDs"] == ["GPU-1"]
    assert image_of(SAMPLER) == "worker"


def test_everything_that_a_run_starts_in_containers_is_marked() -> None:
    watched = node(0, "10.0.0.2")
    worker = definitions().role(WORKER, watched, node_binds(WORKER, watched), 1)
    assert worker["environment"][MARK_VARIABLE] == "sampled/worker/0"
    assert worker["environment"][ENDPOINT_VARIABLE].startswith("10.0.0.2:")
    driver = definitions().driver(watched, [], Path("/run"))
    assert driver["environment"][MARK_VARIABLE] == "sampled/driver/0"
