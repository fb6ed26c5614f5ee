"""One role's process on this machine: started in its own session, watched, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from experiments.errors import EnvironmentFault, ServerDied
from experiments.lifetime import SUPERVISOR_VARIABLE
from experiments.paths import CHECKOUT
from experiments.runtime.ports import taken
from experiments.specs.topology import Node

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)

LOG_LINES = 10
_KILL_SECONDS = 3.0
_LOOK_SECONDS = 0.05
USER_ERROR_STATUS = 2
"""Exit status of a role that ended with a :class:`~experiments.errors.UserError`."""


def role_environment(threads: int) -> dict[str, str]:
    """Environment of a role: this process's, with thread limits and this checkout's code."""
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONFAULTHANDLER": "1",
        SUPERVISOR_VARIABLE: str(os.getpid()),
    }


class RoleProcess:
    """A started role.

    The thread that makes the object must live as long as the role shall: the kernel sends a role
    its parent-death signal when the *thread* that forked it ends.

    Parameters
    ----------
    topology_file : passed on to the role.
    log : file that takes the role's output, appended to.
    environment : whole environment of the process.
    """

    def __init__(
        self,
        role: str,
        node: Node,
        topology_file: Path,
        log: Path,
        environment: Mapping[str, str],
    ) -> None:
        self.role = role
        self.node = node
        self.log = log
        command = [sys.executable, "-m", "experiments", "role", role]
        command += ["--topology", str(topology_file), "--node", str(node.index)]
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._log_start = os.fstat(descriptor).st_size
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd=node.data,
                env=dict(environment),
                # A Ctrl-C at the terminal reaches only the parent, which then stops the roles.
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    @property
    def endpoint(self) -> tuple[str, int]:
        return self.node.endpoint(self.role)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def title(self) -> str:
        return f"{self.role} on node {self.node.index}"

    def output(self) -> str:
        """What this process has logged so far."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def running(self) -> bool:
        return self._process.poll() is None

    def late(self, seconds: float, awaited: object) -> ServerDied:
        """The error for a process that runs but does not serve."""
        return ServerDied(
            f"{self.title} does not serve after {seconds:g} s of waiting for {awaited}; "
            + self._log_end()
        )

    def death(self) -> ServerDied:
        """The error for a process that has ended: how, and its log's last lines."""
        how = exit_text(self._process.wait())
        return ServerDied(f"{self.title} ended with {how}; {self._log_end()}")

    def refusal(self) -> ServerDied | EnvironmentFault:
        """The error for a process that has ended instead of starting to serve."""
        status = self._process.wait()
        lines = self._last_lines()
        address, port = self.endpoint
        if taken(address, port):
            return EnvironmentFault(
                f"port {port} of {address} is taken: the {self.title} cannot listen on it"
            )
        if status == USER_ERROR_STATUS and lines:
            return EnvironmentFault(f"{self.title}: {lines[-1].removeprefix('error: ')}")
        return self.death()

    def signal(self, number: signal.Signals) -> None:
        """Signal the role itself; it tells its own children. Nothing happens if it has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the role and all it started, at once. Nothing is left to reap."""
        if not self.running():  # its number may be somebody else's by now
            return
        # A database server gives every child a session of its own.
        children = psutil.Process(self.pid).children(recursive=True)
        os.killpg(self.pid, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._process.wait()

    def _last_lines(self) -> list[str]:
        return self.output().strip().splitlines()[-LOG_LINES:]

    def _log_end(self) -> str:
        shown = "\n".join(f"  {line}" for line in self._last_lines()) or "  (nothing)"
        return f"its log {self.log} ends with\n{shown}"


def exit_text(status: int) -> str:
    """How a process ended, from its return code: ``exit status 1``, ``signal SIGKILL``."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def leftovers(root: Path) -> list[psutil.Process]:
    """Processes of roles below a cluster's folder, whoever started them.

    Roles and their children work in their node's data folder. A person's shell that happens to be
    there is not one of them.
    """
    found = []
    root = root.resolve()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            ours = Path(process.exe()).name.startswith(("python", "postgres", "initdb", "java"))
            if ours and Path(process.cwd()).is_relative_to(root) and process.pid != os.getpid():
                found.append(process)
    return found


def end_leftovers(root: Path, grace: float = 0.0) -> None:
    """Wait until what :func:`leftovers` finds is gone.

    Parameters
    ----------
    grace : seconds that processes get to end by themselves before they are killed.

    Raises
    ------
    EnvironmentFault
        A process does not end although it is killed.
    """
    if _wait_until_gone(root, grace):
        return
    for process in leftovers(root):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    if not _wait_until_gone(root, _KILL_SECONDS):
        pids = ", ".join(str(process.pid) for process in leftovers(root))
        raise EnvironmentFault(f"processes {pids} of {root} do not end when killed")


def _wait_until_gone(root: Path, seconds: float) -> bool:
    """Whether :func:`leftovers` finds nothing in time; the dead that nobody reaped do not count."""
    deadline = time.monotonic() + seconds
    while leftovers(root):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
