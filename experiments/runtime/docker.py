"""The Docker runtime: every node is a few containers on this machine, on a network of their own.

A node is a *holder* container whose network, processes and shared memory the containers of its
roles join, so it has one address and one loopback interface, as a machine has. The holder's
standard input is open as long as this process lives: when it ends, however it ends, so does all
that runs on the node. The network has no way out.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Self, TypeVar

from experiments import nvidia
from experiments.errors import ServerDied
from experiments.files import write_atomically
from experiments.models.frameworks import DETERMINISTIC_VARIABLE
from experiments.paths import (
    ARTIFACTS_VARIABLE,
    COMPILED_VARIABLE,
    STATE_VARIABLE,
    Artifacts,
    RunFolder,
    state,
)
from experiments.runtime import gpus, sweep
from experiments.runtime.containers import ContainerDriver, ContainerRole, HeldNode
from experiments.runtime.definitions import (
    HOLDER,
    IMAGE_USER,
    RUN_FOLDER,
    SECRETS,
    Bind,
    Definitions,
    images_of,
    node_binds,
    owner,
)
from experiments.runtime.engine import faults, told
from experiments.runtime.lock import LOCK, FolderLock
from experiments.runtime.role_set import RoleSet
from experiments.runtime.secrets import make_secrets
from experiments.specs.topology import (
    CACHE_BYTES,
    COORDINATOR,
    ROLES,
    SAMPLER,
    SEGMENT,
    STARTED_ROLES,
    Node,
    Topology,
    roles_of_node,
)
from experiments.telemetry.sampler import PERIOD_VARIABLE

FIRST_PORT = 20_000
"""Of every node; each has its own address."""

_FIRST_HOST = 2
"""The bridge itself has the first address of a network."""
_ATTEMPTS = 5
_PATIENCE_SECONDS = 5.0
"""While another command removes what was left of the same run."""

Started = TypeVar("Started")


class DockerRuntime:
    """Starts and stops the roles of one cluster in containers; a context manager.

    What an earlier process left of the cluster is taken over: its containers are removed, its data
    and password are kept.

    Parameters
    ----------
    root : the cluster's folder: secrets, logs and one data folder per node.
    client : of this machine's engine, which has our images; the caller closes it.
    memory : bound on the memory of each role and of the driver, bytes.
    """

    def __init__(self, root: Path, client: Any, memory: Mapping[str, int]) -> None:
        self.root = root.resolve()
        self._client = client
        self._lock = FolderLock(self.root)
        self._roles: RoleSet[ContainerRole] = RoleSet()
        self._driver: ContainerDriver | None = None
        self._held: dict[int, HeldNode] = {}
        with faults("it described itself"):
            cores = client.info()["NCPU"]
        self._definitions = Definitions(
            cluster=self.root.name,
            owner=owner(),
            images=images_of(client, STARTED_ROLES),
            user=user(),
            environment=environment(),
            memory=memory,
            cores=float(cores),
        )

    def describe(self) -> Mapping[str, object]:
        with faults("it described itself"):
            engine = self._client.version()["Version"]
        return {"kind": "docker", "engine": engine, "images": dict(self._definitions.images)}

    def claim(self) -> None:
        """Make the folder this process's own; remove the containers an earlier process left."""
        if not self._lock.held:
            self._lock.take(_PATIENCE_SECONDS)
            self._sweep()

    def forget(self) -> None:
        """Remove what an earlier process left of the cluster, its data included."""
        self.claim()
        for path in self.root.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def make_topology(
        self, name: str, workers: int, threads: int, *, cache_bytes: int = CACHE_BYTES
    ) -> Topology:
        """Plan a cluster of ``workers`` nodes and make its network."""
        self.claim()
        with told("it made the network of a cluster"):
            network = self._make_network()
        nodes = []
        for index, given in enumerate(gpus.assign(nvidia.find().gpus, workers)):
            ports = {role: FIRST_PORT + ROLES.index(role) for role in roles_of_node(index)}
            address = str(network.network_address + _FIRST_HOST + index)
            nodes.append(Node(index, address, self.root / f"node-{index}", ports, given))
        make_secrets(self.root / "secrets", [node.address for node in nodes])
        return Topology(name, SECRETS, threads, tuple(nodes), None, cache_bytes)

    def share(self, folder: Path) -> None:
        """Make a folder that the driver and all roles can write."""
        folder.mkdir(parents=True, exist_ok=True)
        own(folder)

    def start(self, topology: Topology, roles: Sequence[str]) -> None:
        """Start ``roles`` on all their nodes, as far as they do not run; return once all serve."""
        self.claim()
        (self.root / "logs").mkdir(exist_ok=True)
        for node in topology.nodes:
            self._hold(topology, node)
        self._roles.start(topology, roles, partial(self._launch, topology))

    def deaths(self) -> Mapping[tuple[str, int], ServerDied]:
        """Started roles that have ended by themselves, by role and node."""
        return self._roles.deaths()

    def drive(self, folder: Path, log: Path) -> ContainerDriver:
        """Start the driver of the run in a folder; what it says is appended to ``log``."""
        topology = Topology.read(RunFolder(folder).topology)
        node, here = topology.nodes[0], state()
        own(folder)
        made = [here.datasets, here.generated, here.ingested, here.compiled]
        for each in made:
            self.share(each)
        binds = [
            *(Bind(each, writable=True) for each in made),
            Bind(here.stores / self.root.name, writable=True),
            Bind(node.data, writable=True),
            Bind(Artifacts().root),
            Bind(folder, writable=True),
            *([Bind(here.raw)] if here.raw.exists() else []),
            *self._account(),
        ]
        log.touch()
        self._driver = self._run(
            self._definitions.driver(node, binds, folder), lambda made: ContainerDriver(made, log)
        )
        return self._driver

    def end(self, role: str) -> None:
        """Stop one role on all its nodes."""
        self._roles.end(role)

    def bring(self, folder: Path) -> None:
        """Nothing: folders of the state folder are mounted."""

    def stop(self, *, purge: bool = False) -> None:
        """Stop all roles within 10 s; with ``purge`` also remove the cluster's files."""
        try:
            self._roles.stop()
            if self._driver is not None:
                self._driver.kill()
        finally:
            self._driver = None
            while self._held:
                self._held.popitem()[1].let_go()
            if purge and self.root.exists():
                self.claim()
            if self._lock.held:
                self._sweep()
                if purge:
                    shutil.rmtree(self.root)
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _sweep(self) -> None:
        sweep.remove(self._client, self._definitions.owner, self._definitions.cluster)

    def _make_network(self) -> ipaddress.IPv4Network:
        """Make the cluster's network; where Docker found room for it.

        Addresses can only be chosen in a network that was asked for by its range, so the engine
        chooses a range first.
        """
        import docker

        sweep.remove_network(self._client, self._definitions.network)
        make = partial(
            self._client.networks.create,
            self._definitions.network,
            driver="bridge",
            internal=True,
            labels=self._definitions.labels,
        )
        for attempt in range(_ATTEMPTS):
            draft = make()
            draft.reload()
            subnet = draft.attrs["IPAM"]["Config"][0]["Subnet"]
            draft.remove()
            pool = docker.types.IPAMPool(subnet=subnet)
            try:
                make(ipam=docker.types.IPAMConfig(pool_configs=[pool]))
            except docker.errors.APIError:  # somebody else took the range meanwhile
                if attempt + 1 == _ATTEMPTS:
                    raise
            else:
                break
        return ipaddress.IPv4Network(subnet)

    def _hold(self, topology: Topology, node: Node) -> None:
        """See to it that a node's holder runs and has topology and secrets."""
        held = self._held.pop(node.index, None)
        if held is not None:
            if held.running():
                self._held[node.index] = held
                return
            held.let_go()
        volume = self._definitions.run_volume(node.index)
        uid, gid = self._definitions.user.split(":")
        node.data.mkdir(exist_ok=True)
        own(node.data)
        with told(f"it made node {node.index}"):
            sweep.remove_container(self._client, self._definitions.name(HOLDER, node.index))
            self._client.volumes.create(
                volume,
                driver_opts={
                    "type": "tmpfs",
                    "device": "tmpfs",
                    "o": f"size=1m,mode=0700,uid={uid},gid={gid}",
                },
                labels=self._definitions.labels,
            )
            made = self._client.containers.create(**self._definitions.holder(node))
            holder = HeldNode(made, RUN_FOLDER)
            try:
                holder.put(self._delivery(topology))
            except BaseException:
                holder.let_go()
                raise
            self._held[node.index] = holder

    def _delivery(self, topology: Topology) -> bytes:
        """The content of a node's :data:`RUN_FOLDER` as a tar archive."""
        uid, gid = map(int, self._definitions.user.split(":"))
        text = self.root / "topology.json"
        topology.write(text)

        def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
            entry.uid, entry.gid = uid, gid
            return entry

        packed = BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(text, text.name, filter=owned)
            archive.add(self.root / SECRETS.name, SECRETS.name, filter=owned)
        return packed.getvalue()

    def _launch(self, topology: Topology, role: str, node: Node) -> ContainerRole:
        here = state()
        binds = [*node_binds(role, node), *self._account()]
        for bind in binds:
            if bind.writable:
                self.share(bind.path)
        stores = here.stores / self.root.name
        if role not in {COORDINATOR, SEGMENT, SAMPLER}:
            self.share(here.compiled)
            binds += [Bind(here.datasets), Bind(here.compiled, writable=True)]
        binds.append(Bind(stores, writable=True))
        log = self.root / "logs" / f"{role}-{node.index}.log"
        return self._run(
            self._definitions.role(role, node, binds, topology.threads),
            lambda made: ContainerRole(role, node, made, log),
        )

    def _run(self, definition: Mapping[str, Any], start: Callable[[Any], Started]) -> Started:
        """Make a container in place of one of the same name, and start it."""
        with told(f"it started {definition['name']}"):
            sweep.remove_container(self._client, definition["name"])
            return start(self._client.containers.create(**definition))

    def _account(self) -> list[Bind]:
        """An account for a user that the images do not know: PostgreSQL and Java want a name."""
        uid, gid = self._definitions.user.split(":")
        if int(uid) == IMAGE_USER:
            return []
        names = self.root / "passwd"
        if not names.exists():  # running containers read it
            write_atomically(
                names,
                "root:x:0:0:root:/root:/usr/sbin/nologin\n"
                f"cerebro:x:{uid}:{gid}::/tmp:/usr/sbin/nologin\n",
            )
        return [Bind(names, to=Path("/etc/passwd"))]


def user() -> str:
    """``uid:gid`` that our containers run as: this process's, or the images' own for root."""
    if os.geteuid() == 0:
        return f"{IMAGE_USER}:{IMAGE_USER}"
    return f"{os.geteuid()}:{os.getegid()}"


def own(folder: Path) -> None:
    """Give a folder of root's, and all that lies in it, to the containers' user.

    What is renamed or removed meanwhile is somebody's who has it already.
    """
    if os.geteuid() == 0:
        _give(folder)
        for inner, folders, files in os.walk(folder):
            for name in (*folders, *files):
                _give(Path(inner, name))


def _give(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.lstat().st_uid != IMAGE_USER:
            os.chown(path, IMAGE_USER, IMAGE_USER, follow_symlinks=False)


def environment() -> dict[str, str]:
    """What every container is told of this process's."""
    variables = {
        STATE_VARIABLE: str(state().root),
        ARTIFACTS_VARIABLE: str(Artifacts().root),
        COMPILED_VARIABLE: str(state().compiled),
    }
    for name in (DETERMINISTIC_VARIABLE, PERIOD_VARIABLE):
        if value := os.environ.get(name):
            variables[name] = value
    return variables
