"""What a sampler reads: integers by source, name and counter; and files that are read again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOST, GROUP, DISK, NETWORK, CGROUP = "host", "group", "disk", "network", "cgroup"
GPU, GPU_PROCESS, SAMPLER = "gpu", "gpu_process", "sampler"
"""Sources: the machine, a role's processes, a block device, an interface, the sampler's control
group, a GPU, a role's processes on a GPU, and the sampler itself."""

Counters = Mapping[str, int]
Reading = Mapping[str, Counters]
"""Name (of a device, a role, ...) to counter to value: bytes, microseconds, per cent, milliwatts.

What only ever grows (``*_us`` of processors, bytes read, written, received, sent, energy) is kept
as the kernel counts it, so that what a window took is the difference of two samples."""

_MOST_BYTES = 1 << 18


@dataclass(frozen=True)
class Sample:
    """All readings of one moment, by source.

    Attributes
    ----------
    mono_ns, wall : the moment on the monotonic clock (ns) and as seconds since 1970.
    """

    mono_ns: int
    wall: float
    readings: Mapping[str, Reading]


@dataclass(frozen=True)
class Header:
    """What holds for all samples until the next header: one per start of a sampler.

    Attributes
    ----------
    boot : the kernel's id of its start: samplers with the same one are on the same machine.
    network, processes : ids of the namespaces that the sampler sees.
    cores, period : processors of the machine; seconds from one sample to the next.
    interfaces : kind of every interface: ``cluster``, ``loopback`` or ``control``.
    states : what cannot be read, with the reason; by source, or by source and what of it.
    """

    node: int
    run: str
    boot: str
    network: str
    processes: str
    cores: int
    period: float
    wall: float
    mono_ns: int
    interfaces: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)

    @property
    def offset_s(self) -> float:
        """What turns this clock's monotonic seconds into seconds since 1970."""
        return self.wall - self.mono_ns / 1e9


class KeptOpen:
    """A file of ``/proc`` that is read again and again: opened once.

    Raises
    ------
    OSError
        It is not there, or may not be read; of a process: it has ended.
    """

    def __init__(self, path: Path | str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        return os.pread(self._fd, _MOST_BYTES, 0)

    def close(self) -> None:
        os.close(self._fd)
