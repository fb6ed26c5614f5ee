"""A role that was started: what it says, whether it serves, and how it ended."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path

from experiments.errors import EnvironmentFault, ServerDied
from experiments.runtime.dask_roles import READY
from experiments.runtime.ports import taken
from experiments.runtime.spark_roles import MASTER_READY, WORKER_READY
from experiments.runtime.waits import LogLine, PortOpen, Wait
from experiments.specs.topology import (
    COORDINATOR,
    SAMPLER,
    SCHEDULER,
    SEGMENT,
    SPARK_MASTER,
    SPARK_WORKER,
    WORKER,
    Node,
)

START_SECONDS = 60.0
"""So long roles that start may say nothing; a crowded machine takes its time over them."""
LONGEST_START_SECONDS = 300.0
GRACE_SECONDS = 5.0
LOG_LINES = 10
USER_ERROR_STATUS = 2
"""Exit status of a role that ended with a :class:`~experiments.errors.UserError`."""
_LOOK_SECONDS = 0.02

_DATABASE_WAITS: tuple[Wait, ...] = (
    LogLine("database system is ready to accept connections"),
    PortOpen(),
)
WAITS: Mapping[str, tuple[Wait, ...]] = {
    SAMPLER: (),
    COORDINATOR: _DATABASE_WAITS,
    SEGMENT: _DATABASE_WAITS,
    SCHEDULER: (LogLine(READY),),
    WORKER: (LogLine(READY),),
    SPARK_MASTER: (LogLine(MASTER_READY),),
    SPARK_WORKER: (LogLine(WORKER_READY),),
}
STOP_SIGNALS: Mapping[str, signal.Signals] = {
    # PostgreSQL's fast shutdown; its SIGTERM would wait for every client to leave.
    COORDINATOR: signal.SIGINT,
    SEGMENT: signal.SIGINT,
    SCHEDULER: signal.SIGTERM,
    WORKER: signal.SIGTERM,
    SPARK_MASTER: signal.SIGTERM,
    SPARK_WORKER: signal.SIGTERM,
    SAMPLER: signal.SIGTERM,
}


class StartedRole(ABC):
    """A role on a node, in a process or container of its own.

    Attributes
    ----------
    log : file that takes the role's output, appended to; what this start says comes after what
        there was.
    """

    def __init__(self, role: str, node: Node, log: Path) -> None:
        self.role = role
        self.node = node
        self.log = log
        self._log_start = log.stat().st_size if log.exists() else 0

    @abstractmethod
    def status(self) -> int | None:
        """Exit status, negative after a signal; None while it runs."""

    @abstractmethod
    def signal(self, number: signal.Signals) -> None:
        """Signal the role itself; it tells its own children. Nothing happens if it has ended."""

    @abstractmethod
    def kill(self) -> None:
        """End the role and all it started, at once; returns when it has ended."""

    @property
    def endpoint(self) -> tuple[str, int]:
        return self.node.endpoint(self.role)

    @property
    def title(self) -> str:
        return f"{self.role} on node {self.node.index}"

    def output(self) -> str:
        """What this start of the role has logged so far."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def running(self) -> bool:
        return self.status() is None

    def late(self, seconds: float, awaited: object) -> ServerDied:
        """The error for a role that runs but does not serve."""
        return ServerDied(
            f"{self.title} does not serve after {seconds:.0f} s of waiting for {awaited}; "
            + self._log_end()
        )

    def death(self) -> ServerDied:
        """The error for a role that has ended: how, and its log's last lines."""
        return ServerDied(f"{self.title} ended with {self.how()}; {self._log_end()}")

    def how(self) -> str:
        """How it ended."""
        status = self.status()
        assert status is not None, f"{self.title} runs"
        return exit_text(status)

    def refusal(self) -> ServerDied | EnvironmentFault:
        """The error for a role that has ended instead of starting to serve."""
        lines = self._last_lines()
        if self.role in self.node.ports and self.port_taken():
            address, port = self.endpoint
            return EnvironmentFault(
                f"port {port} of {address} is taken: the {self.title} cannot listen on it"
            )
        if self.status() == USER_ERROR_STATUS and lines:
            return EnvironmentFault(f"{self.title}: {lines[-1].removeprefix('error: ')}")
        return self.death()

    def port_taken(self) -> bool:
        """Whether somebody else listens on the role's port, now that the role has ended."""
        return taken(*self.endpoint)

    def _last_lines(self) -> list[str]:
        return self.output().strip().splitlines()[-LOG_LINES:]

    def _log_end(self) -> str:
        shown = "\n".join(f"  {line}" for line in self._last_lines()) or "  (nothing)"
        return f"its log {self.log} ends with\n{shown}"


def wait_until_ready(processes: Iterable[StartedRole], others: Iterable[StartedRole]) -> None:
    """Return when all processes serve.

    Whoever still logs is still starting. Others may be what the processes wait for: if one ends,
    there is nothing to wait for.
    """
    begun = heard = time.monotonic()
    said = 0
    pending = [(process, wait) for process in processes for wait in WAITS[process.role]]
    while pending:
        still = []
        for process, wait in pending:
            if not process.running():
                raise process.refusal()
            if not wait.met(process):
                still.append((process, wait))
        for other in others:
            if not other.running():
                raise other.death()
        pending = still
        now, before = time.monotonic(), said
        said = sum(process.log.stat().st_size for process, _ in pending)
        if said != before:
            heard = now
        if pending and (now - heard > START_SECONDS or now - begun > LONGEST_START_SECONDS):
            process, wait = pending[0]
            raise process.late(now - begun, wait)
        time.sleep(_LOOK_SECONDS)


def stop(processes: Iterable[StartedRole]) -> None:
    """Have roles end by themselves; kill those that take longer than :data:`GRACE_SECONDS`."""
    processes = list(processes)
    deadline = time.monotonic() + GRACE_SECONDS
    try:
        for process in processes:
            process.signal(STOP_SIGNALS[process.role])
        while any(process.running() for process in processes) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
    finally:
        for process in processes:
            process.kill()


def exit_text(status: int) -> str:
    """How a process ended, from its return code: ``exit status 1``, ``signal SIGKILL``."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
