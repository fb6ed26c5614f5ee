"""The cluster runtime: containers that ``--provision`` placed on machines, started and stopped.

As in the Docker runtime a node's holder lives as long as this process does. What all nodes see, and
each node's data, are on volumes of the engines; a run's journal is copied here as it grows. One run
at a time has the cluster, and nodes keep the data of the last run only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from experiments.errors import EnvironmentFault, ServerDied
from experiments.models.frameworks import DETERMINISTIC_VARIABLE
from experiments.paths import (
    ARTIFACTS_VARIABLE,
    COMPILED_VARIABLE,
    STATE_VARIABLE,
    Artifacts,
    RunFolder,
    State,
    state,
)
from experiments.runtime import images, sweep
from experiments.runtime.cluster_files import FollowedDriver, FollowedRun, NodeFiles
from experiments.runtime.containers import ContainerRole, HeldNode
from experiments.runtime.definitions import (
    CLUSTER_LABEL,
    DRIVER,
    HOLDER,
    IMAGE_USER,
    RUN_FOLDER,
    SECRETS,
    Definitions,
)
from experiments.runtime.engine import told
from experiments.runtime.images import image_of
from experiments.runtime.lock import FolderLock
from experiments.runtime.provisioned import AGAIN, cluster, first_nodes
from experiments.runtime.role_set import RoleSet
from experiments.runtime.secrets import make_secrets
from experiments.runtime.tunnel import Engines
from experiments.specs.topology import CACHE_BYTES, WORKER, Node, Topology

THERE = State(Path("/var/lib/cerebro-ds"))
"""What all containers of a cluster see; ``cluster_state`` in ``ansible/``."""
ARTIFACTS = Artifacts(THERE.root / "artifacts")
_CLAIM = f"""
cd "$1"
if [ "$3" = True ] || [ "$(cat .run 2> /dev/null)" != "$2" ]; then
    find . -mindepth 1 -maxdepth 1 ! -name {WORKER} -exec rm -rf {{}} +
fi
echo "$2" > .run
"""
"""In a node's folder a file tells whose data it has; where workers have theirs is mounted over."""


class ClusterRuntime:
    """Starts and stops the roles of one run on the cluster that stands; a context manager.

    Parameters
    ----------
    root : the run's folder on this machine: secrets and logs.
    memory : bound on the driver's memory; roles have those of the inventory.
    """

    def __init__(self, root: Path, memory: Mapping[str, int]) -> None:
        self.root = root.resolve()
        self._run = self.root.name
        self._memory = memory
        self._cluster = cluster()
        self._locks = (FolderLock(state().cluster), FolderLock(self.root))
        self._engines = Engines()
        self._roles: RoleSet[ContainerRole] = RoleSet()
        self._driver: FollowedDriver | None = None
        self._held: dict[int, HeldNode] = {}
        self._told: set[int] = set()
        self._forgets = False

    def describe(self) -> Mapping[str, object]:
        urls = sorted({node.engine for node in self._cluster.nodes})
        versions = {url: self._engines.client(url).version()["Version"] for url in urls}
        return {"kind": "cluster", "cluster": self._cluster.name, "engines": versions}

    def claim(self) -> None:
        """Make the cluster this process's own; end what an earlier one left running in it."""
        if self._locks[0].held:
            return
        for lock in self._locks:
            lock.take()
        for url in {node.engine for node in self._cluster.nodes}:
            client = self._engines.client(url)
            with told("it was asked what runs"):
                ours = {"label": f"{CLUSTER_LABEL}={self._cluster.name}"}
                for container in client.containers.list(filters=ours, ignore_removed=True):
                    container.kill()
        self._remove_driver()

    def forget(self) -> None:
        """Remove what an earlier process left of the run, its data included."""
        self.claim()
        self._forgets = True

    def make_topology(
        self, name: str, workers: int, threads: int, *, cache_bytes: int = CACHE_BYTES
    ) -> Topology:
        """The cluster's first nodes; threads are as many as it was provisioned with."""
        self.claim()
        nodes = first_nodes(self._cluster, workers)
        make_secrets(self.root / SECRETS.name, [node.address for node in nodes])
        for node in nodes:
            self._hold(node)
            self._claim_data(node)
        if self._forgets:
            self._files(nodes[0]).remove(*self._shared())
        return Topology(name, SECRETS, self._cluster.threads, nodes, None, cache_bytes)

    def share(self, folder: Path) -> None:
        """Make a folder of the state folder's in what all nodes see."""
        folder.mkdir(parents=True, exist_ok=True)
        there = THERE.root / folder.relative_to(state().root)
        self._files(self._cluster.nodes[0]).run("mkdir", "-p", str(there))

    def start(self, topology: Topology, roles: Sequence[str]) -> None:
        """Start ``roles`` on all their nodes, as far as they do not run; return once all serve."""
        self.claim()
        (self.root / "logs").mkdir(exist_ok=True)
        for node in topology.nodes:
            self._hold(node)
            if node.index not in self._told:
                topology.write(self.root / "topology.json")
                secrets = (SECRETS.name, "topology.json")
                self._files(node).put(self.root, RUN_FOLDER, secrets)
                self._told.add(node.index)
        self._roles.start(topology, roles, partial(self._launch, topology))

    def deaths(self) -> Mapping[tuple[str, int], ServerDied]:
        """Started roles that have ended by themselves, by role and node."""
        return self._roles.deaths()

    def drive(self, folder: Path, log: Path) -> FollowedDriver:
        """Start the driver of the run in a folder; what it says is appended to ``log``."""
        from docker.types import Mount

        node = self._cluster.nodes[0]
        client, files = self._engines.client(node.engine), self._files(node)
        for name in _others(RunFolder(folder)):
            other, kept = Artifacts().run(name), ("run.json", "journal.jsonl", "result.json")
            files.put(other.root, ARTIFACTS.run(name).root, kept)
        run = FollowedRun(files, RunFolder(folder), ARTIFACTS.run(self._run).root)
        run.send()
        definitions = self._definitions(client)
        made = definitions.driver(node, [], ARTIFACTS.run(self._run).root)
        volumes = ((THERE.root, "shared"), (node.data, f"node-{node.index}"))
        made["mounts"] += [
            Mount(str(place), definitions.name(volume), type="volume") for place, volume in volumes
        ]
        log.touch()
        with told("it started the driver"):
            self._remove_driver()
            self._driver = FollowedDriver(client.containers.create(**made), log, run)
        return self._driver

    def end(self, role: str) -> None:
        """Stop one role on all its nodes."""
        self._roles.end(role)

    def bring(self, folder: Path) -> None:
        """Copy a folder of the state folder's from what all nodes see."""
        there = THERE.root / folder.relative_to(state().root)
        with told("it was asked for the samples"):
            self._files(self._cluster.nodes[0]).fetch(there, folder)

    def stop(self, *, purge: bool = False) -> None:
        """Stop all roles within 10 s; with ``purge`` also remove the run's files."""
        try:
            self._roles.stop()
            if self._driver is not None:
                self._driver.kill()
                self._remove_driver()
            if purge and self._held:
                self._forgets = True
                for index in list(self._held):
                    self._claim_data(self._cluster.nodes[index])
                self._files(self._cluster.nodes[0]).remove(*self._shared())
        finally:
            self._driver = None
            self._told.clear()
            while self._held:
                self._held.popitem()[1].let_go()
            self._engines.close()
            for lock in self._locks:
                if lock.held:
                    lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _shared(self) -> tuple[Path, Path]:
        """The run's folders among what all nodes see."""
        return THERE.stores / self._run, ARTIFACTS.run(self._run).root

    def _name(self, what: str, node: Node) -> str:
        return f"cerebro-ds-{self._cluster.name}-{what}-{node.index}"

    def _container(self, what: str, image: str, node: Node) -> Any:
        """A container that was placed, made of this checkout's image.

        Raises
        ------
        EnvironmentFault
            It is not there, or of another image.
        """
        import docker

        name = self._name(what, node)
        try:
            container = self._engines.client(node.engine).containers.get(name)
        except docker.errors.NotFound:
            raise EnvironmentFault(f"node {node.index} has no container {name}: {AGAIN}") from None
        revision = container.labels.get(images.REVISION_LABEL)
        if revision != images.revision():
            raise EnvironmentFault(
                f"{name} is of an image of revision {revision} and this checkout is "
                f"{images.revision()}: {AGAIN}"
            )
        return container

    def _hold(self, node: Node) -> None:
        """See to it that a node's holder runs."""
        held = self._held.pop(node.index, None)
        if held is not None:
            if held.running():
                self._held[node.index] = held
                return
            held.let_go()
        self._told.discard(node.index)
        with told(f"it started node {node.index}"):
            container = self._container(HOLDER, "segment", node)
            self._held[node.index] = HeldNode(container, RUN_FOLDER)

    def _files(self, node: Node) -> NodeFiles:
        self._hold(node)
        return NodeFiles(self._engines.client(node.engine).containers.get(self._name(HOLDER, node)))

    def _claim_data(self, node: Node) -> None:
        """Remove a node's data unless it is this run's and to be kept."""
        place = str(node.data), self._run, str(self._forgets)
        self._files(node).run("sh", "-c", _CLAIM, "sh", *place)

    def _launch(self, topology: Topology, role: str, node: Node) -> ContainerRole:
        log = self.root / "logs" / f"{role}-{node.index}.log"
        container = self._container(role, image_of(role), node)
        with told(f"it started the {role} on node {node.index}"):
            return ContainerRole(role, node, container, log)

    def _remove_driver(self) -> None:
        client = self._engines.client(self._cluster.nodes[0].engine)
        sweep.remove_container(client, f"cerebro-ds-{self._cluster.name}-{DRIVER}")

    def _definitions(self, client: Any) -> Definitions:
        name = images.reference(image_of(DRIVER))
        identity = images.identity(client, image_of(DRIVER))
        if not identity:
            raise EnvironmentFault(f"the engine of node 0 has no image {name}: {AGAIN}")
        environment = {
            STATE_VARIABLE: str(THERE.root),
            ARTIFACTS_VARIABLE: str(ARTIFACTS.root),
            COMPILED_VARIABLE: str(THERE.compiled),
        }
        if value := os.environ.get(DETERMINISTIC_VARIABLE):
            environment[DETERMINISTIC_VARIABLE] = value
        return Definitions(
            cluster=self._cluster.name,
            owner=str(state().cluster),
            images={DRIVER: identity},
            user=f"{IMAGE_USER}:{IMAGE_USER}",
            environment=environment,
            memory=self._memory,
            cores=float(client.info()["NCPU"]),
        )


def _others(folder: RunFolder) -> list[str]:
    """Finished runs that a run reads: the one whose search or whose order it repeats."""
    spec = json.loads(folder.run.read_bytes())["spec"]
    policy = str(spec.get("policy") or "")
    replayed = policy.removeprefix("replay:") if policy.startswith("replay:") else None
    return [name for name in (replayed, (spec.get("search") or {}).get("follows")) if name]
