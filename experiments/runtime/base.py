"""What every runtime offers: processes, containers or machines that carry roles and a driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from experiments.errors import ServerDied
from experiments.specs.topology import Topology


class Driver(Protocol):
    """A driver that was started."""

    def wait(self, seconds: float) -> int | None:
        """Its exit status, negative after a signal, or None if it still runs after so long."""

    def interrupt(self) -> None:
        """Ask it to close its approach and end; nothing happens if it has ended."""

    def kill(self) -> None:
        """End it at once."""


class Roles(Protocol):
    """Keeps roles running."""

    def start(self, topology: Topology, roles: Sequence[str]) -> None:
        """Start ``roles`` on all their nodes, as far as they do not run; return once all serve."""

    def deaths(self) -> Mapping[tuple[str, int], ServerDied]:
        """Started roles that have ended by themselves, by role and node; how, and their last words.

        :meth:`start` starts them again.
        """


class Runtime(Roles, Protocol):
    """Starts and stops the roles of one cluster. Everything above only reads its topology."""

    def describe(self) -> Mapping[str, object]:
        """What carries the roles, for the run's record; JSON-able."""

    def claim(self) -> None:
        """Make the cluster this process's own; end what an earlier one left running in it.

        Raises
        ------
        EnvironmentFault
            Another process uses it.
        """

    def forget(self) -> None:
        """Remove what an earlier process left of the cluster, its data included."""

    def make_topology(self, name: str, workers: int, threads: int, *, cache_bytes: int) -> Topology:
        """Plan a cluster of ``workers`` nodes; write its topology and secrets."""

    def share(self, folder: Path) -> None:
        """Make a folder that the driver and all roles can write."""

    def drive(self, folder: Path, log: Path) -> Driver:
        """Start the driver of the run in a folder; what it says is appended to ``log``."""

    def end(self, role: str) -> None:
        """Stop one role on all its nodes."""

    def bring(self, folder: Path) -> None:
        """Copy here, where it is not already, what roles wrote to a folder below the state folder.

        Raises
        ------
        ServerDied
            The machine that has it does not answer.
        """

    def stop(self, *, purge: bool = False) -> None:
        """Stop all roles within 10 s; with ``purge`` also remove the cluster's files."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
