"""What a run's machine is doing now, from the end of what its samplers write while it goes on.

A line of such a file is a header or a sample: ``at`` holds its clock in nanoseconds and as seconds
since 1970, and each source its counters by name. Damaged and torn lines are passed over: this is a
look at the present, and figures are made from what is kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.paths import RunFolder, state
from experiments.report.words import gigabytes, percent_of

_END_BYTES = 1 << 17
"""Of a file's end that are read: several samples."""

_GROWING = {
    "disk": (("read_bytes", "read"), ("write_bytes", "written")),
    "network": (("received_bytes", "received"), ("sent_bytes", "sent")),
}
_BUSY = ("user_us", "system_us")
_SPENT = (*_BUSY, "idle_us", "waiting_us", "stolen_us")


@dataclass(frozen=True)
class Resource:
    """One line: of what, and what it does now."""

    what: str
    now: str


def resources(run: str, names: RunFolder) -> tuple[Resource, ...]:
    """What the samplers of a run have told last, or a line that says there is nothing of it."""
    files = sorted(state().live(run).glob("node-*.jsonl"))
    found = tuple(line for path in files[:1] for line in _now(path))
    if found:
        return found
    kept = len(list(names.telemetry.glob("*"))) if names.telemetry.is_dir() else 0
    words = f"{kept} files are kept in its folder" if kept else "no telemetry"
    return (Resource("Samples of this run", words),)


def _now(path: Path) -> Iterator[Resource]:
    """The machine by the last two samples of its first node, which sees all of it."""
    samples = _samples(path)
    if len(samples) < 2:
        return
    before, after = samples[-2:]
    seconds = (after["at"][0] - before["at"][0]) / 1e9
    if seconds <= 0:
        return
    host, earlier = _counters(after, "host", ""), _counters(before, "host", "")
    spent = sum(host.get(name, 0) - earlier.get(name, 0) for name in _SPENT)
    busy = sum(host.get(name, 0) - earlier.get(name, 0) for name in _BUSY)
    if spent > 0:
        yield Resource("Processors", percent_of(busy / spent))
    if {"memory_bytes", "available_bytes"} <= {*host}:
        used = host["memory_bytes"] - host["available_bytes"]
        yield Resource("Memory", f"{gigabytes(used)} of {gigabytes(host['memory_bytes'])}")
    for source, counters in _GROWING.items():
        for name in sorted(after.get(source, {})):
            new, old = _counters(after, source, name), _counters(before, source, name)
            rates = ", ".join(
                f"{(new[counter] - old[counter]) / seconds / 1e6:.1f} MB/s {does}"
                for counter, does in counters
                if counter in new and counter in old
            )
            if rates:
                yield Resource(f"{source.capitalize()} {name}", rates)
    for name, counters in sorted(after.get("gpu", {}).items()):
        yield Resource(f"GPU {name}", ", ".join(f"{k} {v:,}" for k, v in counters.items()))


def _counters(sample: Mapping[str, Any], source: str, name: str) -> Mapping[str, int]:
    found: Mapping[str, int] = sample.get(source, {}).get(name, {})
    return found


def _samples(path: Path) -> list[dict[str, Any]]:
    """The whole samples at the end of a file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and "at" in said:
            found.append(said)
    return found
