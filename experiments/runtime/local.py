"""The local runtime: every role is a child process on this machine's loopback address."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Self

from experiments import nvidia
from experiments.errors import EnvironmentFault, ServerDied, SpecError
from experiments.runtime import gpus
from experiments.runtime.driver import DriverProcess
from experiments.runtime.lock import LOCK, FolderLock
from experiments.runtime.ports import PortHolder, taken
from experiments.runtime.process import RoleProcess, end_leftovers, role_environment
from experiments.runtime.role_set import RoleSet
from experiments.runtime.secrets import make_secrets
from experiments.runtime.started import GRACE_SECONDS
from experiments.specs.topology import (
    CACHE_BYTES,
    LOOPBACK,
    Node,
    Topology,
    roles_of_node,
)
from experiments.telemetry.marks import marked

DATABASE_USER = "postgres"


class LocalRuntime:
    """Starts and stops the roles of one cluster as processes; a context manager.

    The roles end with this process, however it ends. A folder made by an earlier process is taken
    over: what is left of its roles is killed, its data, password and (where free) ports are kept.

    Parameters
    ----------
    root : the cluster's folder: topology, secrets, logs and one data folder per node. An
        unprivileged database user must be able to reach it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.topology_file = self.root / "topology.json"
        self._ports = PortHolder(LOOPBACK)
        self._roles: RoleSet[RoleProcess] = RoleSet()
        self._lock = FolderLock(self.root)
        # Roles live as long as the thread that forks them, so that is never a caller's thread.
        self._forker = ThreadPoolExecutor(1, "forker")

    def make_topology(
        self,
        name: str,
        workers: int,
        threads: int,
        *,
        user: str | None = None,
        cache_bytes: int = CACHE_BYTES,
        spark_home: Path | None = None,
    ) -> Topology:
        """Plan a cluster of ``workers`` nodes and write its topology and secrets.

        The ports are held until their role starts. This machine's GPUs are its nodes'.

        Parameters
        ----------
        threads : threads per worker or segment.
        user : runs the database servers; root's default is :data:`DATABASE_USER`.
        cache_bytes : bound on decoded rows kept by one worker or segment.
        spark_home : of the Spark to run, by default this environment's.

        Raises
        ------
        EnvironmentFault
            No free ports, or another process uses the folder.
        """
        self.claim()
        self._ports.release_all()
        if user is None and os.geteuid() == 0:
            user = DATABASE_USER
        before = self._earlier_nodes()
        secrets = make_secrets(self.root / "secrets", [LOOPBACK])
        nodes = []
        for index, given in enumerate(gpus.assign(nvidia.find().gpus, workers)):
            known = before[index].ports if index < len(before) else {}
            ports = {role: self._ports.hold(known.get(role)) for role in roles_of_node(index)}
            nodes.append(Node(index, LOOPBACK, self.root / f"node-{index}", ports, given))
        topology = Topology(
            name, secrets.folder, threads, tuple(nodes), user, cache_bytes, spark_home
        )
        topology.write(self.topology_file)
        return topology

    def describe(self) -> Mapping[str, object]:
        return {"kind": "local"}

    def forget(self) -> None:
        """Remove what an earlier process left in the cluster's folder, running roles included."""
        self.claim()
        for path in self.root.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def share(self, folder: Path) -> None:
        """Make a folder that the driver and all roles can write."""
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(folder, DATABASE_USER)

    def drive(self, folder: Path, log: Path) -> DriverProcess:
        """Start the driver of the run in a folder; what it says is appended to ``log``."""
        return DriverProcess(folder, log)

    def start(self, topology: Topology, roles: Sequence[str]) -> None:
        """Start ``roles`` on all their nodes; those that run are left alone.

        What a role that died has left running is ended first; a scheduler takes its workers along.
        Returns when all serve. If one fails, those started by this call are stopped again.

        Raises
        ------
        SpecError
            A role that does not exist.
        EnvironmentFault
            A port that is taken, or something else that the machine lacks.
        ServerDied
            A role ended, or did not serve in time; the message ends with the last lines of its
            log.
        """
        self.claim()
        topology.write(self.topology_file)
        (self.root / "logs").mkdir(exist_ok=True)
        environment = role_environment(topology.threads)
        self._roles.start(topology, roles, partial(self._start, topology.name, environment))

    def _start(
        self, cluster: str, environment: Mapping[str, str], role: str, node: Node
    ) -> RoleProcess:
        node.data.mkdir(exist_ok=True)
        log = self.root / "logs" / f"{role}-{node.index}.log"
        # Backends that were busy when their server died still hold its memory.
        end_leftovers(node.data / role)
        if role in node.ports:
            self._claim_port(role, node)
        own = {**environment, **marked(cluster, role, node.index)}
        return self._forker.submit(RoleProcess, role, node, self.topology_file, log, own).result()

    def _claim_port(self, role: str, node: Node) -> None:
        address, port = node.endpoint(role)
        self._ports.release(port)
        if taken(address, port):
            raise EnvironmentFault(
                f"port {port} of {address} is taken: the {role} on node {node.index} needs it"
            )

    def alive(self) -> bool:
        """Whether every started role runs."""
        return all(process.running() for process in self._roles.started.values())

    def deaths(self) -> Mapping[tuple[str, int], ServerDied]:
        """Started roles that have ended by themselves, by role and node."""
        return self._roles.deaths()

    def check(self) -> None:
        """Raise :class:`~experiments.errors.ServerDied` for the first started role that ended."""
        for death in self.deaths().values():
            raise death

    def pids(self) -> Mapping[tuple[str, int], int]:
        """Process id of every started role, by role and node."""
        return {key: process.pid for key, process in self._roles.started.items()}

    def end(self, role: str) -> None:
        """Stop one role on all its nodes."""
        self._roles.end(role)

    def bring(self, folder: Path) -> None:
        """Nothing: roles write to this machine's folders."""

    def stop(self, *, purge: bool = False) -> None:
        """Stop every role and what it started; safe to call again.

        Servers get some seconds to end by themselves and are killed then.

        Parameters
        ----------
        purge : also remove the cluster's folder.
        """
        try:
            self._roles.stop()
        finally:
            self._ports.release_all()
            self._forker.shutdown()
            self._forker = ThreadPoolExecutor(1, "forker")
            if purge and self.root.exists():
                self.claim()
            if self._lock.held:
                end_leftovers(self.root)
                if purge:
                    shutil.rmtree(self.root)
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def claim(self) -> None:
        """Make the folder this process's own and end what an earlier process left running in it.

        Raises
        ------
        EnvironmentFault
            Another process uses the folder.
        """
        if self._lock.held:
            return
        self._lock.take()
        # Roles of a parent that was killed a moment ago are on their way out.
        end_leftovers(self.root, GRACE_SECONDS)

    def _earlier_nodes(self) -> tuple[Node, ...]:
        try:
            return Topology.read(self.topology_file).nodes
        except SpecError:
            return ()
