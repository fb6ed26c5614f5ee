"""Containers that carry a role or a driver: from their start to their end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.runtime.started import StartedRole
from experiments.specs.topology import Node

LOST = 255
"""Exit status of a container that its engine can tell nothing of any more."""

_SIGNALLED = 128
_DRAIN_SECONDS = 5.0


class FollowedContainer:
    """A container that is started here. Its output goes to a file, its exit status is kept.

    Parameters
    ----------
    container : created and not running.
    log : what this start says is appended to it.

    Raises
    ------
    docker.errors.APIError
        The engine does not start it.
    """

    def __init__(self, container: Any, log: Path) -> None:
        self._container = container
        self._status: int | None = None
        self._ended = threading.Event()
        stream = container.attach(stdout=True, stderr=True, stream=True, logs=False)
        container.start()
        self._thread = threading.Thread(target=self._follow, args=(stream, log), daemon=True)
        self._thread.start()

    def status(self) -> int | None:
        """Exit status, negative after a signal; None while it runs."""
        return self._status if self._ended.is_set() else None

    def wait(self, seconds: float) -> int | None:
        """Its exit status, negative after a signal, or None if it still runs after so long."""
        self._ended.wait(seconds)
        return self.status()

    def signal(self, number: signal.Signals) -> None:
        """Signal its first process; nothing happens if it has ended."""
        with contextlib.suppress(*_engine_errors()):
            self._container.kill(signal=number.name)

    def kill(self) -> None:
        """End it and all it started, at once; returns when it has ended."""
        if self.status() is None:
            self.signal(signal.SIGKILL)
            self._ended.wait()

    def _follow(self, stream: Iterable[bytes], log: Path) -> None:
        status = LOST
        with contextlib.suppress(*_engine_errors()), log.open("ab", buffering=0) as output:
            for chunk in stream:
                with contextlib.suppress(OSError):  # a full disk must not block the container
                    output.write(chunk)
        _hang_up(stream)
        with contextlib.suppress(*_engine_errors()):
            status = self._container.wait()["StatusCode"]
        self._status = _SIGNALLED - status if _SIGNALLED < status < LOST else status
        self._ended.set()


class ContainerRole(StartedRole):
    """A role in a container of its own; parameters as :class:`FollowedContainer`'s."""

    def __init__(self, role: str, node: Node, container: Any, log: Path) -> None:
        super().__init__(role, node, log)
        log.touch()
        self._container = FollowedContainer(container, log)

    def status(self) -> int | None:
        return self._container.status()

    def signal(self, number: signal.Signals) -> None:
        self._container.signal(number)

    def kill(self) -> None:
        self._container.kill()

    def port_taken(self) -> bool:
        return False  # its node has an address of its own


class ContainerDriver(FollowedContainer):
    """A run's driver in a container."""

    def interrupt(self) -> None:
        """Ask it to close its approach and end; nothing happens if it has ended."""
        self.signal(signal.SIGINT)


class HeldNode:
    """A node's holder, which ends with this process or when it is let go.

    Parameters
    ----------
    container : created and not running.
    folder : in the container; what is put there stays in memory.
    """

    def __init__(self, container: Any, folder: Path) -> None:
        self._container = container
        self._folder = str(folder)
        # The engine closes the container's standard input with the connection.
        self._input = container.attach_socket(params={"stdin": 1, "stream": 1})
        container.start()

    def running(self) -> bool:
        with contextlib.suppress(*_engine_errors()):
            self._container.reload()
            return bool(self._container.status == "running")
        return False

    def let_go(self) -> None:
        """Close its standard input, which ends it."""
        _hang_up(self._input)

    def put(self, archive: bytes) -> None:
        """Unpack a tar archive in the node's folder."""
        self._container.put_archive(self._folder, archive)


def _hang_up(attached: Any) -> None:
    """Close the connection behind what ``attach`` gave, which the SDK keeps to itself."""
    with contextlib.suppress(*_engine_errors()):
        attached._response.close()


def _engine_errors() -> tuple[type[Exception], ...]:
    """What the SDK raises where the engine refuses or is gone."""
    import docker
    import requests

    return docker.errors.DockerException, requests.RequestException, OSError
