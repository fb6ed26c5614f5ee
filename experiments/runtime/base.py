"""What every runtime offers: processes, containers or machines that carry roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from experiments.errors import ServerDied
from experiments.specs.topology import Topology


class Runtime(Protocol):
    """Starts and stops the roles of one cluster. Everything above only reads its topology."""

    def start(self, topology: Topology, roles: Sequence[str]) -> None:
        """Start ``roles`` on all their nodes, as far as they do not run; return once all serve."""

    def deaths(self) -> Mapping[tuple[str, int], ServerDied]:
        """Started roles that have ended by themselves, by role and node; how, and their last words.

        :meth:`start` starts them again.
        """

    def stop(self, *, purge: bool = False) -> None:
        """Stop all roles within 10 s; with ``purge`` also remove the cluster's files."""
