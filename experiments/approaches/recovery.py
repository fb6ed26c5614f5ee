"""What the driver does when a server dies under it: wait until it is back, and go on.

Whoever runs the topology starts dead roles again. An approach says with one exception what died:
what it calls raises :class:`~experiments.errors.ServerDied` if the server is gone, and makes a new
connection at the next call. Every other exception is a failure of the work itself, and is not
tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from experiments.errors import ServerDied

RETURN_SECONDS = 60.0
"""How long a server may be away."""

LOOK_SECONDS = 0.1
ATTEMPTS = 5
"""How often work is begun that keeps losing its server."""

T = TypeVar("T")


class Recovery:
    """Waits for servers of one run; shared by all threads that do."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End all waiting now and from now on, with the error that was waited for."""
        self._stopped.set()

    def back(self, probe: Callable[[], T], died: ServerDied) -> T:
        """Repeat ``probe`` until it meets a living server; its answer.

        Parameters
        ----------
        probe : something cheap that needs the server.
        died : why there is something to wait for.

        Raises
        ------
        ServerDied
            The server is not back after :data:`RETURN_SECONDS`; or the waiting was stopped.
        """
        deadline = time.monotonic() + RETURN_SECONDS
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                return probe()
            except ServerDied as error:
                died = error
            if time.monotonic() > deadline:
                raise ServerDied(f"waited {RETURN_SECONDS:g} s in vain: {died}") from died
        raise died

    def persist(self, action: Callable[[], T], probe: Callable[[], object]) -> T:
        """Run ``action`` again whenever it lost a server and ``probe`` found that it is back.

        Raises
        ------
        ServerDied
            A server did not come back, or died :data:`ATTEMPTS` times during the action.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return action()
            except ServerDied as error:
                self.back(probe, error)
        return action()
