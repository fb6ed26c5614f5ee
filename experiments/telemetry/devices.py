"""Bytes read from and written to every block device, from ``/proc/diskstats``."""

from __future__ import annotations

from pathlib import Path

from experiments.telemetry.readings import KeptOpen, Reading

_SECTOR = 512
"""Bytes of a sector in ``/proc/diskstats``, whatever the device's own is."""
_IN_MEMORY = ("loop", "ram", "zram")


class Disks:
    """Reads whole devices; those that lie on others (LVM, RAID) would count twice.

    Parameters
    ----------
    root, blocks : where ``/proc`` and ``/sys/block`` are.
    """

    def __init__(self, root: Path = Path("/proc"), blocks: Path = Path("/sys/block")) -> None:
        self._stats = KeptOpen(root / "diskstats")
        names = [path.name for path in blocks.iterdir()] if blocks.is_dir() else []
        self._wanted = {
            name.encode(): name
            for name in names
            if not name.startswith(_IN_MEMORY) and not _lies_on_others(blocks / name)
        }

    @property
    def reason(self) -> str:
        """Why there is nothing to read; empty where there is something."""
        return "" if self._wanted else "this machine shows no block device (/sys/block)"

    def read(self) -> Reading:
        found = {}
        for line in self._stats.read().splitlines():
            fields = line.split()
            if name := self._wanted.get(fields[2]):
                found[name] = {
                    "read_bytes": int(fields[5]) * _SECTOR,
                    "write_bytes": int(fields[9]) * _SECTOR,
                    "busy_us": int(fields[12]) * 1000,
                }
        return found


def _lies_on_others(block: Path) -> bool:
    slaves = block / "slaves"
    return slaves.is_dir() and any(slaves.iterdir())
