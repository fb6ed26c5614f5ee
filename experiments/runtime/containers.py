"""Containers that carry a role or a driver: from their start to their end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from experiments.runtime.started import StartedRole, exit_text
from experiments.specs.topology import Node

LOST = 255
"""Exit status of a container that its engine can tell nothing of any more."""

INTERRUPTED = 130
"""Of a driver that was told to stop."""
_SIGNALLED = 128
_KILL_SECONDS = 10.0


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
        self._oom = False
        stream = container.attach(stdout=True, stderr=True, stream=True, logs=False)
        try:
            container.start()
        except BaseException:
            _hang_up(stream)
            raise
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
        """End it and all it started, at once; returns when it has ended, or been removed."""
        if self.status() is None:
            self.signal(signal.SIGKILL)
            if not self._ended.wait(_KILL_SECONDS):
                with contextlib.suppress(*_engine_errors()):
                    self._container.remove(force=True)

    def how(self) -> str:
        """How it ended."""
        status = self.status()
        assert status is not None, "it runs"
        told = exit_text(status)
        return f"{told}, since it took more memory than its bound" if self._oom else told

    def _follow(self, stream: Iterable[bytes], log: Path) -> None:
        status = LOST
        with contextlib.suppress(*_engine_errors()), log.open("ab", buffering=0) as output:
            for chunk in stream:
                with contextlib.suppress(OSError):  # a full disk must not block the container
                    output.write(chunk)
        _hang_up(stream)
        with contextlib.suppress(*_engine_errors()):
            status = self._container.wait()["StatusCode"]
            self._container.reload()
            self._oom = bool(self._container.attrs["State"].get("OOMKilled"))
        signalled = _SIGNALLED < status < LOST and status != INTERRUPTED
        self._status = _SIGNALLED - status if signalled else status
        self._ended.set()


@contextlib.contextmanager
def input_open(container: Any) -> Iterator[None]:
    """Keep a created container's standard input open; the engine closes it with our connection."""
    held = container.attach_socket(params={"stdin": 1, "stream": 1})
    try:
        yield
    finally:
        _hang_up(held)


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

    def how(self) -> str:
        return self._container.how()

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
        try:
            container.start()
        except BaseException:
            self.let_go()
            raise

    def running(self) -> bool:
        import docker

        try:
            self._container.reload()
        except docker.errors.NotFound:
            return False
        return bool(self._container.status == "running")

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
