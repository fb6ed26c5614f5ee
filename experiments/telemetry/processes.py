"""What each role's processes take, from ``/proc/<pid>``.

A role's processes are those that bear its mark (:mod:`.marks`), and those whose nearest ancestor
does. What a process took counts on when it ends: the kernel adds it to its parent's, or, where the
parent is not the run's, it is kept here. So a role's counters never fall.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from experiments.telemetry.marks import group_in
from experiments.telemetry.proc import TICK_US
from experiments.telemetry.readings import KeptOpen, Reading

_PAGE = os.sysconf("SC_PAGE_SIZE")
_YOUNG = 4
"""A process that was seen between its fork and its exec bears no mark yet: so many samples long
others are looked at again, and afterwards now and then, since numbers of processes come back."""
_AGAIN = 30


@dataclass
class _Process:
    """One process of the run."""

    group: str
    stat: KeptOpen
    memory: KeptOpen
    io: KeptOpen | None
    parent: int = 0
    threads: int = 0
    resident: int = 0
    shared: int = 0
    taken: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Read it again; :class:`OSError` where it has ended."""
        fields = _fields(self.stat.read())
        resident, shared = self.memory.read().split()[1:3]
        self.parent, self.threads = int(fields[1]), int(fields[17])
        self.resident, self.shared = int(resident) * _PAGE, int(shared) * _PAGE
        # Its own and that of its children that it waited for, in user and kernel mode.
        self.taken["cpu_us"] = sum(map(int, fields[11:15])) * TICK_US
        if self.io is not None:
            try:
                lines = dict(line.split(b": ") for line in self.io.read().splitlines())
            except PermissionError:
                self.io = None
                return
            self.taken["read_bytes"] = int(lines[b"read_bytes"])
            self.taken["write_bytes"] = int(lines[b"write_bytes"])
            self.taken["cancelled_bytes"] = int(lines[b"cancelled_write_bytes"])

    def close(self) -> None:
        for kept in (self.stat, self.memory, self.io):
            if kept is not None:
                kept.close()


class Processes:
    """Finds and reads the processes of one run.

    Parameters
    ----------
    cluster : whose marks are the run's.
    root : where ``/proc`` is.
    """

    def __init__(self, cluster: str, root: Path = Path("/proc")) -> None:
        self._cluster = cluster
        self._root = str(root)
        self._ours: dict[int, _Process] = {}
        self._others: dict[int, int] = {}
        self._ended: dict[str, dict[str, int]] = {}
        self.unreadable: dict[str, str] = {}

    def group_of(self, pid: int) -> str | None:
        """The role, as ``role-node``, of a process that was seen; None: it is not the run's."""
        process = self._ours.get(pid)
        return process.group if process else None

    def read(self) -> Reading:
        """Counters by role.

        ``cpu_us``, ``read_bytes``, ``write_bytes`` and ``cancelled_bytes`` (written to pages that
        were dropped before they reached a disk) grow; ``processes``, ``threads``,
        ``resident_bytes``, ``private_bytes`` (resident and not of files or shared memory) and
        ``shared_bytes`` (the most that one of its processes shares) are of this moment.
        """
        there = {int(name) for name in os.listdir(self._root) if name.isdigit()}
        for pid in self._others.keys() - there:
            del self._others[pid]
        self._look_again()
        for pid in sorted(there - self._ours.keys()):
            self._meet(pid)
        return self._sums()

    def _look_again(self) -> None:
        gone = {}
        for pid, process in self._ours.items():
            try:
                process.look()
            except OSError:
                gone[pid] = process
        for pid, process in gone.items():
            del self._ours[pid]
            process.close()
        for process in gone.values():
            if process.parent not in self._ours:
                kept = self._ended.setdefault(process.group, {})
                for counter, value in process.taken.items():
                    kept[counter] = kept.get(counter, 0) + value

    def _meet(self, pid: int) -> None:
        """Find out whose a process is that is not known as the run's."""
        seen = self._others.get(pid, 0)
        self._others[pid] = seen + 1
        if seen >= _YOUNG and seen % _AGAIN:
            return
        with contextlib.suppress(OSError):  # it has ended meanwhile
            group = self._group(pid)
            if group:
                self._ours[pid] = process = self._open(pid, group)
                process.look()
                del self._others[pid]

    def _group(self, pid: int) -> str:
        """Of its own mark, or of the nearest ancestor that has one; empty where there is none."""
        while pid > 1:
            if (known := self._ours.get(pid)) is not None:
                return known.group
            with contextlib.suppress(PermissionError):
                group = group_in(self._content(pid, "environ"), self._cluster)
                if group is not None:
                    return group
            parent = int(_fields(self._content(pid, "stat"))[1])
            if parent < pid and parent in self._others:  # it has been looked at
                break
            pid = parent
        return ""

    def _open(self, pid: int, group: str) -> _Process:
        folder = f"{self._root}/{pid}"
        stat, memory = KeptOpen(f"{folder}/stat"), KeptOpen(f"{folder}/statm")
        io = None
        try:
            io = KeptOpen(f"{folder}/io")
            io.read()
        except PermissionError as error:
            reason = f"/proc/PID/io of its processes may not be read here ({error.strerror})"
            self.unreadable[group] = reason
            io = None
        return _Process(group, stat, memory, io)

    def _content(self, pid: int, name: str) -> bytes:
        with open(f"{self._root}/{pid}/{name}", "rb", buffering=0) as file:
            return file.read()

    def _sums(self) -> Reading:
        found: dict[str, dict[str, int]] = {
            group: dict(kept) for group, kept in self._ended.items()
        }
        for process in self._ours.values():
            sums = found.setdefault(process.group, {})
            for counter, value in process.taken.items():
                sums[counter] = sums.get(counter, 0) + value
            for counter, value in (
                ("processes", 1),
                ("threads", process.threads),
                ("resident_bytes", process.resident),
                ("private_bytes", max(0, process.resident - process.shared)),
            ):
                sums[counter] = sums.get(counter, 0) + value
            sums["shared_bytes"] = max(sums.get("shared_bytes", 0), process.shared)
        return found


def _fields(stat: bytes) -> list[bytes]:
    """From the state on: what stands before may hold blanks."""
    if not stat:
        raise ProcessLookupError
    return stat[stat.rindex(b")") + 2 :].split()
