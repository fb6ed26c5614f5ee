"""A cluster as an inventory of Ansible describes it: which node is where, and what cannot be.

Ansible's own environment imports this module too, so it needs the standard library only.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.errors import SpecError
from experiments.specs.topology import ROLES, Node, Topology, roles_of_node

HOST_NETWORK, DOCKER_NETWORK = "host", "docker"
OWN_ENGINE, SHARED_ENGINE = "own", "shared"
VOLUME, FOLDER, NFS = "volume", "folder", "nfs"
AUTO = "auto"

MOST_NODES = 8
FIRST_ADDRESS = 10
"""Of the nodes in a Docker network; those before it are for the engine and for whoever visits."""
PORTS_PER_NODE = 10
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


@dataclass(frozen=True)
class Host:
    """One machine of an inventory.

    Attributes
    ----------
    name : in the inventory.
    address : that the other hosts know it by.
    engine : address of its Docker engine; empty for this machine's.
    folders : data folder of each of its nodes.
    gpus : UUIDs for its nodes, in turn; None takes all it has.
    """

    name: str
    address: str
    engine: str
    folders: tuple[str, ...]
    gpus: tuple[str, ...] | None


@dataclass(frozen=True)
class Settings:
    """What the hosts of a cluster have in common; names as in ``ansible/roles/cluster``."""

    name: str
    network: str
    subnet: str
    engine: str
    storage: str
    first_port: int
    state: str
    threads: int


@dataclass(frozen=True)
class PlannedNode:
    """A node, and the host that carries it.

    Attributes
    ----------
    number : index of the node in the topology.
    folder : the host's folder with the node's data, when that is not a volume of the engine's.
    position : among the nodes of its host.
    """

    number: int
    host: str
    position: int
    address: str
    folder: str
    ports: Mapping[str, int]


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Check what the hosts have in common.

    Raises
    ------
    SpecError
        A value that cannot be; the message names its variable.
    """
    choices = {
        "network": (HOST_NETWORK, DOCKER_NETWORK),
        "engine": (OWN_ENGINE, SHARED_ENGINE),
        "storage": (VOLUME, FOLDER, NFS),
    }
    for name, known in choices.items():
        if values[name] not in known:
            raise _wrong(name, values[name], f"expected {' or '.join(known)}")
    if not _NAME.fullmatch(str(values["name"])):
        raise _wrong("name", values["name"], "expected up to 30 small letters, digits and dashes")
    first_port = _number("first_port", values["first_port"])
    if not 1024 <= first_port <= 65000:
        raise _wrong("first_port", first_port, "expected 1024 to 65000")
    try:
        ipaddress.IPv4Network(str(values["subnet"]))
    except ValueError as error:
        raise _wrong("subnet", values["subnet"], str(error)) from None
    return Settings(
        name=str(values["name"]),
        network=str(values["network"]),
        subnet=str(values["subnet"]),
        engine=str(values["engine"]),
        storage=str(values["storage"]),
        first_port=first_port,
        state=str(values["state"]),
        threads=_number("threads", values["threads"]),
    )


def host_from(name: str, values: Mapping[str, Any]) -> Host:
    """Check what a host says of itself.

    Raises
    ------
    SpecError
        A value that cannot be; the message names its variable and the host.
    """
    where = f" of host {name}"
    nodes = _number("nodes", values["nodes"], where)
    if not 1 <= nodes <= MOST_NODES:
        raise _wrong("nodes", nodes, f"expected 1 to {MOST_NODES}", where)
    folders = values["folders"] or [f"{values['data']}/{number}" for number in range(nodes)]
    if len(folders) != nodes:
        raise _wrong("folders", folders, f"expected one for each of {nodes} nodes", where)
    for folder in folders:
        if not Path(str(folder)).is_absolute():
            raise _wrong("folders", folder, "expected absolute paths", where)
    gpus = values["gpus"]
    if gpus != AUTO and not isinstance(gpus, Sequence | None):
        raise _wrong("gpus", gpus, f"expected {AUTO} or a list of UUIDs", where)
    if gpus != AUTO and isinstance(gpus, str):
        raise _wrong("gpus", gpus, f"expected {AUTO} or a list of UUIDs", where)
    return Host(
        name=name,
        address=str(values["address"]),
        engine=str(values["engine_url"] or ""),
        folders=tuple(str(Path(str(folder))) for folder in folders),
        gpus=None if gpus == AUTO else tuple(map(str, gpus or ())),
    )


def plan(settings: Settings, hosts: Sequence[Host], masters: Sequence[str]) -> list[PlannedNode]:
    """The nodes in the order of their hosts.

    Raises
    ------
    SpecError
        There are none, or two of something that must be one; the message says what to change.
    """
    if not hosts:
        raise SpecError("the inventory has no host in its group nodes")
    _check_together(settings, hosts, masters)
    nodes: list[PlannedNode] = []
    for host in hosts:
        for position, folder in enumerate(host.folders):
            number = len(nodes)
            nodes.append(
                PlannedNode(
                    number=number,
                    host=host.name,
                    position=position,
                    address=_address(settings, host, number),
                    folder=node_folder(settings, folder),
                    ports=_ports(settings, number, position),
                )
            )
    if len(nodes) > MOST_NODES:
        raise SpecError(
            f"the inventory has {len(nodes)} nodes and {MOST_NODES} are the most: take hosts from "
            "its group nodes, or lower their cluster_nodes"
        )
    _check_apart(settings, nodes)
    return nodes


def topology(
    settings: Settings,
    nodes: Sequence[PlannedNode],
    hosts: Sequence[Host],
    gpus: Mapping[str, Sequence[str]],
) -> Topology:
    """The topology file's value, with paths as the roles' containers see them.

    Parameters
    ----------
    gpus : UUIDs that a host offers its nodes, by host.
    """
    engines = {host.name: host.engine for host in hosts}
    root = Path(settings.state) / "clusters" / settings.name
    return Topology(
        name=settings.name,
        secrets=Path("/run/cerebro-ds/secrets"),
        threads=settings.threads,
        nodes=tuple(
            Node(
                index=node.number,
                address=node.address,
                data=root / f"node-{node.number}",
                ports=node.ports,
                gpus=gpus_of(node, gpus.get(node.host, ())),
                engine=engines[node.host],
            )
            for node in nodes
        ),
    )


def node_folder(settings: Settings, folder: str) -> str:
    """The folder of ours within a host's, so that nothing else is removed with it."""
    return f"{folder}/cerebro-ds-{settings.name}"


def gpus_of(node: PlannedNode, offered: Sequence[str]) -> tuple[str, ...]:
    """What a node gets of its host's GPUs: one each while they last, then they are shared."""
    return (offered[node.position % len(offered)],) if offered else ()


def as_variables(nodes: Sequence[PlannedNode]) -> list[dict[str, Any]]:
    """The nodes as plain values, for Ansible's templates."""
    return [asdict(node) for node in nodes]


def nodes_from(variables: Sequence[Mapping[str, Any]]) -> list[PlannedNode]:
    """The nodes again that :func:`as_variables` was given."""
    return [PlannedNode(**variable) for variable in variables]


def addresses(hosts: Sequence[Host]) -> list[str]:
    """The hosts' IP addresses.

    Raises
    ------
    SpecError
        A name that this machine cannot resolve.
    """
    found = []
    for host in hosts:
        try:
            found.append(socket.gethostbyname(host.address))
        except OSError:
            raise SpecError(
                f"host {host.name}: {host.address} is no address that this machine can resolve: "
                "set its cluster_address"
            ) from None
    return sorted({*found})


def _address(settings: Settings, host: Host, index: int) -> str:
    if settings.network == HOST_NETWORK:
        return host.address
    return str(ipaddress.IPv4Network(settings.subnet)[FIRST_ADDRESS + index])


def _ports(settings: Settings, index: int, position: int) -> dict[str, int]:
    """In a Docker network every node has all ports to itself; on a host they share them."""
    shift = PORTS_PER_NODE * position if settings.network == HOST_NETWORK else 0
    first = settings.first_port + shift
    return {role: first + ROLES.index(role) for role in roles_of_node(index)}


def _check_together(settings: Settings, hosts: Sequence[Host], masters: Sequence[str]) -> None:
    several = len(hosts) > 1 and settings.engine == OWN_ENGINE
    if settings.network == DOCKER_NETWORK and several:
        raise _wrong(
            "network",
            DOCKER_NETWORK,
            f"{len(hosts)} hosts have engines of their own: set it to {HOST_NETWORK}",
        )
    if settings.storage != NFS and several:
        raise _wrong(
            "storage",
            settings.storage,
            f"{len(hosts)} hosts have engines of their own: set it to {NFS}",
        )
    if len(masters) > 1 or (settings.storage == NFS and not masters):
        raise SpecError(f"the inventory's group master has {len(masters)} hosts: expected one")
    owners: dict[str, str] = {}
    for host in hosts:
        owner = owners.setdefault(host.address, host.name)
        if owner != host.name:
            raise SpecError(
                f"hosts {owner} and {host.name} have one address, {host.address}: "
                "name the machine once, with its number of cluster_nodes"
            )


def _check_apart(settings: Settings, nodes: Sequence[PlannedNode]) -> None:
    """No two nodes of one machine in one folder, or one within the other's."""
    if settings.storage == VOLUME:
        return
    for node in nodes:
        for other in nodes[: node.number]:
            mine, its = Path(node.folder), Path(other.folder)
            if other.host == node.host and (mine.is_relative_to(its) or its.is_relative_to(mine)):
                raise SpecError(
                    f"host {node.host}: nodes {other.number} and {node.number} have one data "
                    f"folder, {node.folder}: give each its own in cluster_folders"
                )


def _number(name: str, value: Any, where: str = "") -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise _wrong(name, value, "expected a number", where) from None


def _wrong(name: str, value: object, problem: str, where: str = "") -> SpecError:
    return SpecError(f"cluster_{name}{where} is {value!r}: {problem}")
