"""How the containers of a cluster are made: names, labels, mounts, limits.

``ansible/`` makes a cluster's containers by the same rules, in its own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import EnvironmentFault
from experiments.paths import state
from experiments.runtime.engine import faults
from experiments.runtime.images import image_of, reference
from experiments.specs.topology import (
    COORDINATOR,
    EVERY_NODE_ROLES,
    SAMPLER,
    SEGMENT,
    THREAD_VARIABLES,
    Node,
)
from experiments.telemetry.marks import marked

LABEL = "cerebro-ds"
CLUSTER_LABEL = "cerebro-ds.cluster"
OWNER_LABEL = "cerebro-ds.owner"
"""The state folder of whoever made it."""

DRIVER = "driver"
HOLDER = "holder"
RUN_FOLDER = Path("/run/cerebro-ds")
"""In every container of a node: topology and secrets, in memory only."""
TOPOLOGY = RUN_FOLDER / "topology.json"
SECRETS = RUN_FOLDER / "secrets"
ENDPOINT_VARIABLE = "CEREBRO_DS_ENDPOINT"
"""What a role's health check connects to."""

IMAGE_USER = 10001
"""User and group of our images."""

HOLDER_BYTES = 128 * 2**20
SHARED_MEMORY = "1g"
_PROCESSES = 4096
_TEMPORARY = "rw,nosuid,nodev,noexec,mode=1777,size=1g"


@dataclass(frozen=True)
class Bind:
    """A folder or file of the host's that a container sees under the same path, or under ``to``."""

    path: Path
    writable: bool = False
    to: Path | None = None


@dataclass(frozen=True)
class Definitions:
    """What all containers of one cluster have in common.

    Attributes
    ----------
    cluster : its name.
    owner : state folder of whoever makes it.
    images : image of every role, of the driver and of the holder, by id.
    user : ``uid:gid`` that all run as.
    environment : variables that all have.
    memory : bound on each role's and the driver's memory, bytes.
    cores : bound on each container's.
    """

    cluster: str
    owner: str
    images: Mapping[str, str]
    user: str
    environment: Mapping[str, str]
    memory: Mapping[str, int]
    cores: float

    @property
    def labels(self) -> dict[str, str]:
        return {LABEL: "1", CLUSTER_LABEL: self.cluster, OWNER_LABEL: self.owner}

    @property
    def network(self) -> str:
        return f"{LABEL}-{self.cluster}"

    def name(self, what: str, node: int | None = None) -> str:
        """Of the container of a role, holder or driver."""
        return f"{LABEL}-{self.cluster}-{what}" + ("" if node is None else f"-{node}")

    def run_volume(self, node: int) -> str:
        """The node's volume for :data:`RUN_FOLDER`."""
        return self.name("run", node)

    def holder(self, node: Node) -> dict[str, Any]:
        """Arguments of ``containers.create`` for a node's holder."""
        from docker.types import EndpointConfig

        endpoint = EndpointConfig("1.41", ipv4_address=node.address)
        return {
            **self._confined(HOLDER, node, []),
            "name": self.name(HOLDER, node.index),
            "command": ["hold"],
            "stdin_open": True,
            "network": self.network,
            "networking_config": {self.network: endpoint},
            "ipc_mode": "shareable",
            "shm_size": SHARED_MEMORY,
            "mem_limit": HOLDER_BYTES,
        }

    def role(self, role: str, node: Node, binds: Iterable[Bind], threads: int) -> dict[str, Any]:
        """Arguments of ``containers.create`` for a role on a node."""
        command = ["role", role, "--topology", str(TOPOLOGY), "--node", str(node.index)]
        made = self._inside(role, node, binds, command)
        made["environment"] |= dict.fromkeys(THREAD_VARIABLES, str(threads))
        if role in node.ports:
            made["environment"][ENDPOINT_VARIABLE] = ":".join(map(str, node.endpoint(role)))
        if node.gpu is not None and role in {*EVERY_NODE_ROLES, SAMPLER}:
            from docker.types import DeviceRequest

            # "utility" brings the library that a role asks for its GPU.
            wanted = [["gpu", "compute", "utility"]]
            made["device_requests"] = [DeviceRequest(device_ids=[node.gpu], capabilities=wanted)]
        return made

    def driver(self, node: Node, binds: Iterable[Bind], folder: Path) -> dict[str, Any]:
        """Arguments of ``containers.create`` for the driver of the run in a folder."""
        return self._inside(DRIVER, node, binds, ["drive", str(folder)])

    def _inside(
        self, what: str, node: Node, binds: Iterable[Bind], command: list[str]
    ) -> dict[str, Any]:
        holder = f"container:{self.name(HOLDER, node.index)}"
        made = self._confined(what, node, binds)
        made["environment"] |= marked(self.cluster, what, node.index)
        return {
            **made,
            "name": self.name(what, None if what == DRIVER else node.index),
            "command": command,
            "network_mode": holder,
            "pid_mode": holder,
            "ipc_mode": holder,
            "mem_limit": self.memory[what],
            "nano_cpus": int(self.cores * 1e9),
        }

    def _confined(self, what: str, node: Node, binds: Iterable[Bind]) -> dict[str, Any]:
        run = run_mount(self.run_volume(node.index), writable=what == HOLDER)
        return {
            **confined(binds, [run]),
            "image": self.images[what],
            "labels": self.labels,
            "user": self.user,
            "environment": dict(self.environment),
        }


def confined(binds: Iterable[Bind], mounts: Iterable[Any] = ()) -> dict[str, Any]:
    """Arguments of ``containers.create`` that keep a container to what it needs."""
    from docker.types import LogConfig, Mount

    mounted = [
        Mount(str(bind.to or bind.path), str(bind.path), type="bind", read_only=not bind.writable)
        for bind in binds
    ]
    return {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": _PROCESSES,
        # Whoever starts them watches them; a shell in each of twenty containers every few seconds
        # costs a third of a core.
        "healthcheck": {"test": ["NONE"]},
        "tmpfs": {"/tmp": _TEMPORARY},
        "mounts": [*mounted, *mounts],
        "log_config": LogConfig(type="json-file", config={"max-size": "50m"}),
    }


def run_mount(volume: str, *, writable: bool) -> Any:
    """The mount of a node's :data:`RUN_FOLDER`."""
    from docker.types import Mount

    return Mount(str(RUN_FOLDER), volume, type="volume", read_only=not writable)


def owner() -> str:
    """Whose containers ours are: those of this state folder."""
    return str(state().root.resolve())


def images_of(client: Any, roles: Iterable[str]) -> dict[str, str]:
    """Image, by id, of each role, of the driver and of the holder, which has the driver's.

    Raises
    ------
    EnvironmentFault
        The engine lacks one of this revision.
    """
    import docker

    found = {}
    for role in (*roles, DRIVER):
        name = reference(image_of(role))
        with faults(f"it was asked for {name}"):
            try:
                found[role] = str(client.images.get(name).id)
            except docker.errors.ImageNotFound:
                raise EnvironmentFault(f"there is no image {name}: images/build makes it") from None
    return {**found, HOLDER: found[DRIVER]}


def node_binds(role: str, node: Node) -> list[Bind]:
    """What a role sees of its node's folder: a worker reads its segment's files and writes its own.

    A database server makes its instance aside and renames it, so it gets the whole.
    """
    if role in {COORDINATOR, SEGMENT}:
        return [Bind(node.data, writable=True)]
    if role in EVERY_NODE_ROLES:
        return [Bind(node.data), Bind(node.data / role, writable=True)]
    return [Bind(node.data / role, writable=True)]
