"""A job in a process of another Python environment, which is told it and answers in lines of JSON.

Nothing is pickled between the two. The job's standard error, and what it prints, goes to this
process's own: the driver's log.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.errors import EnvironmentFault, ReproduceError
from experiments.lifetime import SUPERVISOR_VARIABLE
from experiments.paths import CHECKOUT, COMPLETE, state

Message = Mapping[str, Any]
"""A line of the job's: ``event``, ``at`` (monotonic clock) and what the event has."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def python_of(environment: str) -> Path:
    """The Python of an environment beside the main one.

    Raises
    ------
    EnvironmentFault
        It has not been made.
    """
    root = state().environment(environment)
    if not (root / COMPLETE).exists():
        raise EnvironmentFault(
            f"the environment of {environment} is not there ({root}): python3 reproduce.py with a "
            "figure or experiment that needs it makes it"
        )
    return root / "bin" / "python"


class Job:
    """A started job.

    Parameters
    ----------
    environment : name of its environment.
    module : what is run, ``python -m``.
    job : what it reads from its standard input.
    folder : it works there, and has its temporary files there.
    threads : that each of its processes may compute with.
    settings : environment variables of its own.
    """

    def __init__(
        self,
        environment: str,
        module: str,
        job: Mapping[str, Any],
        *,
        folder: Path,
        threads: int,
        settings: Mapping[str, str],
    ) -> None:
        temporary = folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        self._name = environment
        self._folder = folder
        self._failures: list[Message] = []
        self._process = subprocess.Popen(
            [str(python_of(environment)), "-m", module],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                **dict.fromkeys(THREAD_VARIABLES, str(threads)),
                **settings,
                "PYTHONPATH": str(CHECKOUT),
                "TMPDIR": str(temporary),
                "TF_CPP_MIN_LOG_LEVEL": "2",
                SUPERVISOR_VARIABLE: str(os.getpid()),
            },
            start_new_session=True,
            text=True,
        )
        self.send(job)

    def send(self, message: Mapping[str, Any]) -> None:
        """Write a line to the job's standard input.

        A job that is gone does not take it; :meth:`receive` tells why.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def receive(self) -> Message | None:
        """The next message, as soon as it is there; None when the job is done.

        Raises
        ------
        EnvironmentFault
            It found the disk full.
        ReproduceError
            It failed otherwise; the message gives its reason, if it told one.
        """
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message: Message = json.loads(line)
            if message["event"] == "done":
                return None
            if message["event"] != "failed":
                return message
            # The first reason is the cause.
            self._failures = self._failures or [message]
        how = f"the job in the environment of {self._name} ended with {self._process.wait()}"
        if not self._failures:
            raise ReproduceError(f"{how}; what it said is above")
        reason = str(self._failures[0]["error"])
        if os.strerror(errno.ENOSPC) in reason:
            raise EnvironmentFault(
                f"{self._folder}: the disk is full ({os.strerror(errno.ENOSPC)}); free some, then "
                "give the same command again: the run begins again"
            )
        raise ReproduceError(f"{how}: {_last_line(reason)}")

    def cancel(self) -> None:
        """End the process, and with it what it started. Safe at any moment and twice."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Cancel and let go of its pipes."""
        self.cancel()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "(no reason given)"
