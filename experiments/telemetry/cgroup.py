"""Processor time and memory of the control group that the sampler is in (versions 1 and 2).

In a container that is the sampler's own, since containers do not see each other's; outside one, the
group of whoever gave the command.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from experiments.telemetry.readings import KeptOpen, Reading

_UNLIMITED = 1 << 60
"""Version 1 writes no limit as a number near the largest."""


class ControlGroup:
    """Reads one control group.

    Parameters
    ----------
    mounted : where control groups are mounted.
    own : the kernel's list of the groups of this process.
    """

    def __init__(
        self,
        mounted: Path = Path("/sys/fs/cgroup"),
        own: Path = Path("/proc/self/cgroup"),
    ) -> None:
        self.reason = ""
        self._files: dict[str, KeptOpen] = {}
        try:
            paths = _paths(own.read_text())
            self._second = (mounted / "cgroup.controllers").exists()
            wanted = _second(mounted, paths) if self._second else _first(mounted, paths)
            self._files = {name: KeptOpen(path) for name, path in wanted.items()}
        except (OSError, KeyError) as error:
            self.reason = f"no control group of this process can be read ({error})"

    def read(self) -> Reading:
        if not self._files:
            return {}
        texts = {name: kept.read().decode() for name, kept in self._files.items()}
        memory = _table(texts["memory.stat"])
        if self._second:
            used, cpu = int(texts["memory"]), _table(texts["cpu"])["usage_usec"]
            cache, own = memory["file"], memory["anon"]
        else:
            used, cpu = int(texts["memory"]), int(texts["cpu"]) // 1000
            cache, own = memory["total_cache"], memory["total_rss"]
        found = {
            "cpu_us": cpu,
            "used_bytes": used,
            "page_cache_bytes": cache,
            "own_bytes": own,
        }
        limit = texts["limit"].strip()
        if limit != "max" and int(limit) < _UNLIMITED:
            found["limit_bytes"] = int(limit)
        return {"": found}


def _paths(text: str) -> Mapping[str, str]:
    """Path of this process's group by controller; version 2's has none."""
    found = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path.lstrip("/")
    return found


def _second(mounted: Path, paths: Mapping[str, str]) -> Mapping[str, Path]:
    folder = mounted / paths[""]
    if not (folder / "memory.current").exists():
        folder = mounted
    return {
        "cpu": folder / "cpu.stat",
        "memory": folder / "memory.current",
        "memory.stat": folder / "memory.stat",
        "limit": folder / "memory.max",
    }


def _first(mounted: Path, paths: Mapping[str, str]) -> Mapping[str, Path]:
    folders = {}
    for controller in ("cpuacct", "memory"):
        folder = mounted / controller / paths[controller]
        folders[controller] = folder if folder.is_dir() else mounted / controller
    return {
        "cpu": folders["cpuacct"] / "cpuacct.usage",
        "memory": folders["memory"] / "memory.usage_in_bytes",
        "memory.stat": folders["memory"] / "memory.stat",
        "limit": folders["memory"] / "memory.limit_in_bytes",
    }


def _table(text: str) -> Mapping[str, int]:
    pairs = (line.split() for line in text.splitlines())
    return {name: int(value) for name, value in pairs}
