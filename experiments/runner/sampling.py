"""The samplers of a run: started with it, started again a few times, and never in its way."""

from __future__ import annotations

from pathlib import Path

from experiments.errors import ReproduceError
from experiments.paths import state
from experiments.runtime.base import Runtime
from experiments.specs.topology import SAMPLER, Topology
from experiments.telemetry import store
from experiments.telemetry.journal import Journal

MOST_DEATHS = 3
"""So many deaths of samplers of one start of the run; then it goes on without those."""


class Sampling:
    """Starts a run's samplers and keeps what they saw.

    Parameters
    ----------
    events : takes a ``sampler_lost`` event for everything that goes wrong, with its ``reason``.
    """

    def __init__(self, runtime: Runtime, topology: Topology, events: Journal) -> None:
        self._runtime = runtime
        self._topology = topology
        self._events = events
        self._lost = 0

    def start(self) -> None:
        """Start those that do not run."""
        try:
            self._runtime.start(self._topology, [SAMPLER])
        except ReproduceError as error:
            self._lose(error)

    def look(self) -> None:
        """Start again what died, unless that has happened too often."""
        if self._lost >= MOST_DEATHS:
            return
        deaths = [died for key, died in self._runtime.deaths().items() if key[0] == SAMPLER]
        for died in deaths:
            self._lose(died)
        if deaths and self._lost < MOST_DEATHS:
            self.start()

    def finish(self, kept: Path) -> None:
        """Stop them and keep their samples in a folder; what is damaged is left out."""
        live = state().live(self._topology.name)
        try:
            self._runtime.end(SAMPLER)
            self._runtime.bring(live)
            for damaged in store.keep_all(live, kept):
                self._lose(damaged)
        except (ReproduceError, OSError) as error:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        self._lost += 1
        self._events.append("sampler_lost", reason=str(error).partition(";")[0])
