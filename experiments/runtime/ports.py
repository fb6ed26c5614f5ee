"""Free TCP ports of this machine, held by binding them until the server that needs them starts."""

from __future__ import annotations

import errno
import random
import socket
from pathlib import Path

from experiments.errors import EnvironmentFault

LOWEST = 10_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ATTEMPTS = 1000


def taken(address: str, port: int) -> bool:
    """Whether a server that wants this address and port would be refused."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier server that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise EnvironmentFault(
                f"cannot listen on {address}:{port} ({error.strerror})"
            ) from None
    return False


class PortHolder:
    """Finds free ports and keeps others from taking them. All ports of one holder are distinct."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._held: dict[int, socket.socket] = {}

    def hold(self, preferred: int | None = None) -> int:
        """A free port, ``preferred`` if that is free.

        Raises
        ------
        EnvironmentFault
            No free port was found.
        """
        if preferred is not None and self._bind(preferred):
            return preferred
        # The kernel gives ports of its own range to outgoing connections at any moment; a server
        # that is restarted would find its port gone.
        top = _ephemeral_start()
        for _ in range(_ATTEMPTS):
            port = random.randrange(LOWEST, top)
            if self._bind(port):
                return port
        raise EnvironmentFault(f"no free port between {LOWEST} and {top} on {self._address}")

    def release(self, port: int) -> None:
        """Let go of a port; nothing happens if it is not held."""
        held = self._held.pop(port, None)
        if held is not None:
            held.close()

    def release_all(self) -> None:
        for port in list(self._held):
            self.release(port)

    def _bind(self, port: int) -> bool:
        if port in self._held:
            return False
        holder = socket.socket()
        try:
            holder.bind((self._address, port))
        except OSError:
            holder.close()
            return False
        self._held[port] = holder
        return True


def _ephemeral_start() -> int:
    try:
        start = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32768
    return start if start > LOWEST + 1000 else 65536
