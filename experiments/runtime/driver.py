"""A run's driver as a process of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from experiments.lifetime import SUPERVISOR_VARIABLE
from experiments.paths import CHECKOUT
from experiments.telemetry.marks import marked


class DriverProcess:
    """``python -m experiments drive FOLDER``, in a session of its own.

    Parameters
    ----------
    folder : of the run.
    log : file that takes the driver's output, appended to.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "experiments", "drive", str(folder)],
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={
                    **os.environ,
                    "PYTHONPATH": str(CHECKOUT),
                    SUPERVISOR_VARIABLE: str(os.getpid()),
                    **marked(folder.name, "driver", 0),
                },
            )

    def wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
