"""The roles of one cluster that were started: what starts them together, and who has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from experiments.errors import ServerDied, SpecError
from experiments.runtime.started import StartedRole, stop, wait_until_ready
from experiments.specs.topology import (
    SAMPLER,
    SCHEDULER,
    STARTED_ROLES,
    WORKER,
    Node,
    Topology,
)

Key = tuple[str, int]
"""A role and the index of its node."""

Carrier = TypeVar("Carrier", bound=StartedRole)


class RoleSet(Generic[Carrier]):
    """Started roles by role and node; ``started`` holds them in the order of their start."""

    def __init__(self) -> None:
        self.started: dict[Key, Carrier] = {}

    def start(
        self, topology: Topology, roles: Sequence[str], launch: Callable[[str, Node], Carrier]
    ) -> None:
        """Start ``roles`` on all their nodes; those that run are left alone.

        A scheduler takes its workers along. Returns when all serve. If one fails, those started by
        this call are stopped again.

        Parameters
        ----------
        launch : starts one role on a node.

        Raises
        ------
        SpecError
            A role that does not exist.
        EnvironmentFault
            A port that is taken, or something else that is missing.
        ServerDied
            A role ended, or did not serve in time; the message ends with its log's last lines.
        """
        for role in roles:
            if role not in STARTED_ROLES:
                raise SpecError(
                    f"unknown role {role!r}: expected one of {', '.join(STARTED_ROLES)}"
                )
        if (SCHEDULER, 0) in self.deaths():
            stop(each for each in self.started.values() if each.role == WORKER)
        begun: list[Carrier] = []
        try:
            for role in (role for role in STARTED_ROLES if role in roles):
                for node in topology.nodes_of(role):
                    key = role, node.index
                    if key in self.started and self.started[key].running():
                        continue
                    self.started[key] = launch(role, node)
                    begun.append(self.started[key])
            # Nobody waits for a sampler.
            others = [
                each for each in self.started.values() if each not in begun and each.role != SAMPLER
            ]
            wait_until_ready(begun, others)
        except BaseException:
            stop(begun)
            for each in begun:
                del self.started[each.role, each.node.index]
            raise

    def deaths(self) -> Mapping[Key, ServerDied]:
        """Started roles that have ended by themselves, by role and node."""
        # A worker that ended with its scheduler must not be seen dead before the scheduler is.
        ended = [key for key in reversed(self.started) if not self.started[key].running()]
        return {key: self.started[key].death() for key in reversed(ended)}

    def end(self, role: str) -> None:
        """Stop one role on all its nodes."""
        stop(each for each in self.started.values() if each.role == role)
        self.started = {key: each for key, each in self.started.items() if each.role != role}

    def stop(self) -> None:
        """Stop every role; those that do not end by themselves are killed."""
        try:
            stop(self.started.values())
        finally:
            self.started.clear()
