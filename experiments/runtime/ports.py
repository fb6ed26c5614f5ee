"""Free TCP ports of this machine, kept from others until the server that needs them starts."""

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
    try:
        _listener(address, port).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return True
        raise EnvironmentFault(f"cannot listen on {address}:{port} ({error.strerror})") from None
    return False


class PortHolder:
    """Finds free ports and keeps others from taking them. All ports of one holder are distinct.

    A port is held against everybody until it is released to its server, and leased from other
    holders on this machine until :meth:`release_all`: a server that is starting, or that died and
    is to be started again, finds it free. A lease is a name among the kernel's abstract sockets,
    which ends with the process that has it.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._held: dict[int, socket.socket] = {}
        self._leases: dict[int, socket.socket] = {}

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
        """Leave a port to its server; nothing happens if it is not held."""
        held = self._held.pop(port, None)
        if held is not None:
            held.close()

    def release_all(self) -> None:
        """Let go of every port."""
        for port in list(self._held):
            self.release(port)
        while self._leases:
            self._leases.popitem()[1].close()

    def _bind(self, port: int) -> bool:
        if port in self._leases:
            return False
        lease = socket.socket(socket.AF_UNIX)
        try:
            lease.bind(f"\0cerebro-ds port {port}")
            self._held[port] = _listener(self._address, port)
        except OSError:
            lease.close()
            return False
        self._leases[port] = lease
        return True


def _listener(address: str, port: int) -> socket.socket:
    """A socket that listens as servers do: lingering connections of an earlier one do not count.

    While it listens nobody else can bind the port, whatever options they set.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _ephemeral_start() -> int:
    try:
        start = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32768
    return start if start > LOWEST + 1000 else 65536
