"""Processors and memory of the machine, from ``/proc/stat`` and ``/proc/meminfo``.

In a container too these tell of the whole machine.
"""

from __future__ import annotations

import os
from pathlib import Path

from experiments.telemetry.readings import Counters, KeptOpen, Reading

TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
_MEMORY = ("MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "Shmem", "Dirty")


class Machine:
    """Reads the machine's counters.

    Parameters
    ----------
    root : where ``/proc`` is.
    """

    def __init__(self, root: Path = Path("/proc")) -> None:
        self._stat = KeptOpen(root / "stat")
        self._memory = KeptOpen(root / "meminfo")

    def read(self) -> Reading:
        return {"": {**_processors(self._stat.read()), **_memory(self._memory.read())}}


def _processors(text: bytes) -> Counters:
    """Microseconds of all processors together; time as a guest is a part of the user's."""
    first = text[: text.index(b"\n")].split()[1:9]
    user, nice, system, idle, waiting, irq, soft, stolen = (int(each) * TICK_US for each in first)
    return {
        "user_us": user + nice,
        "system_us": system + irq + soft,
        "idle_us": idle,
        "waiting_us": waiting,
        "stolen_us": stolen,
    }


def _memory(text: bytes) -> Counters:
    """Bytes; the page cache apart, without what processes share through it."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(b":")
        if (key := name.decode()) in _MEMORY:
            found[key] = int(value.split()[0]) * 1024
    return {
        "memory_bytes": found["MemTotal"],
        "free_bytes": found["MemFree"],
        "available_bytes": found["MemAvailable"],
        "page_cache_bytes": found["Cached"] + found["Buffers"] - found["Shmem"],
        "shared_bytes": found["Shmem"],
        "dirty_bytes": found["Dirty"],
    }
