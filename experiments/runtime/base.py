"""What every runtime offers: processes, containers or machines that carry roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from experiments.specs.topology import Topology


class Runtime(Protocol):
    """Starts and stops the roles of one cluster. Everything above only reads its topology."""

    def start(self, topology: Topology, roles: Sequence[str]) -> None:
        """Start ``roles`` on all their nodes, as far as they do not run; return once all serve."""

    def check(self) -> None:
        """Raise :class:`~experiments.errors.ServerDied` if a started role has ended."""

    def stop(self, *, purge: bool = False) -> None:
        """Stop all roles within 10 s; with ``purge`` also remove the cluster's files."""
