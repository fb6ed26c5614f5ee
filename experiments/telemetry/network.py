"""Bytes per interface and direction, of the network namespace that the sampler is in."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import psutil

from experiments.telemetry.readings import KeptOpen, Reading

CLUSTER, LOOPBACK, CONTROL = "cluster", "loopback", "control"
"""Kinds: the interface of the node's address, a loopback interface that is not that, all others.

In the local runtime the node's address is the loopback one, so the cluster's traffic is what the
whole machine sends to itself."""


class Interfaces:
    """Reads the counters of all interfaces.

    Parameters
    ----------
    address : of the node.
    dev : the kernel's table.
    """

    def __init__(self, address: str, dev: Path = Path("/proc/self/net/dev")) -> None:
        self._address = address
        self._dev = KeptOpen(dev)

    def read(self) -> Reading:
        found = {}
        for line in self._dev.read().splitlines()[2:]:
            name, _, rest = line.partition(b":")
            fields = rest.split()
            found[name.strip().decode()] = {
                "received_bytes": int(fields[0]),
                "sent_bytes": int(fields[8]),
            }
        return found

    def kinds(self) -> Mapping[str, str]:
        """Kind of every interface that is there now."""
        try:
            address = socket.gethostbyname(self._address)
        except OSError:
            address = self._address
        have = {
            name
            for name, addresses in psutil.net_if_addrs().items()
            if any(each.address == address for each in addresses)
        }
        return {
            name: CLUSTER if name in have else LOOPBACK if name == "lo" else CONTROL
            for name in self.read()
        }
