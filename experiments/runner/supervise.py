"""Keeps the roles of a run alive: starts again what died, within bounds, and records it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from experiments.errors import ServerDied
from experiments.runtime.base import Roles
from experiments.specs.topology import SAMPLER, Topology
from experiments.telemetry.journal import Journal

YOUNG_SECONDS = 30.0
"""A role that dies sooner than this after its restart was not helped by it."""

YOUNG_DEATHS = 3
"""So many young deaths of one role end the run."""

START_ATTEMPTS = 6
"""So many failed starts in a row do; each of several roles may die during one."""


class Supervisor:
    """Starts the roles of one topology, and again when they die.

    Parameters
    ----------
    restarts : takes a ``restarted`` event for every death: ``role``, ``node`` and ``reason``.
    clock : monotonic seconds.
    """

    def __init__(
        self,
        runtime: Roles,
        topology: Topology,
        roles: Sequence[str],
        restarts: Journal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._topology = topology
        self._roles = roles
        self._restarts = restarts
        self._clock = clock
        self._died: dict[tuple[str, int], ServerDied] = {}
        self._restarted: dict[tuple[str, int], float] = {}
        self._young: defaultdict[tuple[str, int], int] = defaultdict(int)

    def look(self) -> None:
        """Look once; return when all roles serve again.

        Raises
        ------
        ServerDied
            A role keeps dying or cannot be started: its name, its node and its log's last lines.
        UserError
            What a role needs to start is missing.
        """
        if deaths := self._deaths():
            self._note(deaths)
            self.start()

    def start(self) -> None:
        """Start all roles that do not run; return when they serve.

        A start that fails is tried again, since it may have failed of another role's death: once
        however long it took, for a role may have waited in vain for as long as it may. Raises what
        :meth:`look` does.
        """
        begun = self._clock()
        failures = 0
        while True:
            try:
                self._runtime.start(self._topology, self._roles)
            except ServerDied:
                failures += 1
                late = failures > 1 and self._clock() - begun > YOUNG_SECONDS
                if late or failures == START_ATTEMPTS:
                    raise
                self._note(self._deaths())
            else:
                return self._record()

    def _deaths(self) -> Mapping[tuple[str, int], ServerDied]:
        """Of all roles that the run needs; samplers are :mod:`.sampling`'s."""
        return {key: died for key, died in self._runtime.deaths().items() if key[0] != SAMPLER}

    def _note(self, deaths: Mapping[tuple[str, int], ServerDied]) -> None:
        """Count each death that has not been seen before."""
        for key, death in deaths.items():
            if key in self._died:
                continue
            young = self._clock() - self._restarted.get(key, -YOUNG_SECONDS) < YOUNG_SECONDS
            self._young[key] = self._young[key] + 1 if young else 0
            if self._young[key] == YOUNG_DEATHS:
                raise ServerDied(f"restarted {YOUNG_DEATHS} times in vain: {death}") from death
            self._died[key] = death

    def _record(self) -> None:
        for (role, node), death in self._died.items():
            self._restarted[role, node] = self._clock()
            reason = str(death).partition(";")[0]
            self._restarts.append("restarted", worker=node, role=role, reason=reason)
        self._died.clear()
