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

from experiments.errors import EnvironmentFault
from experiments.lifetime import SUPERVISOR_VARIABLE
from experiments.paths import CHECKOUT
from experiments.runtime.started import StartedRole
from experiments.specs.topology import THREAD_VARIABLES, Node

_KILL_SECONDS = 3.0
_LOOK_SECONDS = 0.05


def role_environment(threads: int) -> dict[str, str]:
    """Environment of a role: this process's, with thread limits and this checkout's code."""
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONFAULTHANDLER": "1",
        SUPERVISOR_VARIABLE: str(os.getpid()),
    }


class RoleProcess(StartedRole):
    """A role as a process of this machine.

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
        super().__init__(role, node, log)
        command = [sys.executable, "-m", "experiments", "role", role]
        command += ["--topology", str(topology_file), "--node", str(node.index)]
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
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
    def pid(self) -> int:
        return self._process.pid

    def status(self) -> int | None:
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        if not self.running():  # its number may be somebody else's by now
            return
        # A database server gives every child a session of its own.
        children = psutil.Process(self.pid).children(recursive=True)
        os.killpg(self.pid, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._process.wait()


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
