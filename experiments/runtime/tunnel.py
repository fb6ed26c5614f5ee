"""Docker engines of a cluster's machines, each through ssh as a socket of this machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from experiments.errors import EnvironmentFault
from experiments.runtime import engine

_OPEN_SECONDS = 20.0
_LOOK_SECONDS = 0.05
_OPTIONS = (
    "BatchMode=yes",
    "ControlPath=none",
    "ExitOnForwardFailure=yes",
    "ServerAliveInterval=15",
)


class Tunnel:
    """A connection that ends with this process, however that ends.

    Parameters
    ----------
    url : of the engine: ``ssh://user@host:port``.

    Raises
    ------
    EnvironmentFault
        ssh does not let us in.
    """

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._folder = Path(tempfile.mkdtemp(prefix="cerebro-ds-"))
        self.socket = self._folder / "engine"
        log = self._folder / "log"
        where = f"{place.username}@{place.hostname}" if place.username else str(place.hostname)
        options = [part for option in _OPTIONS for part in ("-o", option)]
        command = ["ssh", "-T", *options, "-p", str(place.port or 22)]
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                # What it runs there ends when its standard input does.
                [*command, "-L", f"{self.socket}:{engine.SOCKET}", where, "cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        deadline = time.monotonic() + _OPEN_SECONDS
        while not self.socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace").strip().splitlines() or ["it says nothing"]
                self.close()
                raise EnvironmentFault(
                    f"ssh to {where} for {url} fails: {said[-1]}; mend that (try ssh {where}), or "
                    "give --provision with the cluster's inventory again"
                )
            time.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """End the connection."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder)


class Engines:
    """Clients of engines by their address, connected when they are first asked for."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._tunnels: list[Tunnel] = []

    def client(self, url: str) -> Any:
        """The client of an engine; this machine's where ``url`` is empty."""
        if url not in self._clients:
            if url:
                tunnel = Tunnel(url)
                self._tunnels.append(tunnel)
                self._clients[url] = engine.connect(f"unix://{tunnel.socket}")
            else:
                self._clients[url] = engine.connect()
        return self._clients[url]

    def close(self) -> None:
        """Disconnect from all."""
        while self._clients:
            self._clients.popitem()[1].close()
        while self._tunnels:
            self._tunnels.pop().close()
