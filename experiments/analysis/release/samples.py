"""Logs of CPU, GPU, disk and network: samples of a node within the windows of runs, summed up.

The loggers ran for weeks; a run's samples are those between its start and its end. A sample is a
line with the time and one line or more with values (one for each GPU, one for each interface).
Times are compared as texts, so that what lies outside of all windows costs little; of such lines
only the times are looked at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.analysis.release.text import Account

_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
_LIKE_STAMP = re.compile(r"\d{4}-")
_CPU = re.compile(r"(\d+(?:\.\d+)?)%,\s*(\d+(?:\.\d+)?)%$")
_GPU = re.compile(r"(\d+(?:\.\d+)?) %, (\d+(?:\.\d+)?) %, (.+?)(?: W)?$")
_DISK_HEAD = re.compile(r"\s*Device:?\s+tps\s+MB_read/s\s+MB_wrtn/s\s+MB_read\s+MB_wrtn\s")
_IFACE = re.compile(r"(CONTROL|EXPERIMENT)_IFACE: ")
_DEVICE_FIELDS = 6

Values = Mapping[str, float]


def cpu(text: str) -> Values:
    """``12%,3.41%``: busy CPU and used memory, in per cent."""
    if (line := _CPU.match(text)) is None:
        raise ValueError("not two percentages")
    return {"cpu_pct": float(line[1]), "dram_pct": float(line[2])}


def gpu(text: str) -> Values:
    """``74 %, 42 %, 120.10 W``: busy GPU, busy memory controller, power."""
    if (line := _GPU.match(text)) is None:
        raise ValueError("not two percentages and a power")
    found = {"gpu_util_pct": float(line[1]), "gpu_ram_pct": float(line[2])}
    try:
        found["gpu_power_w"] = float(line[3])
    except ValueError:
        if "Not Supported" not in line[3]:
            raise ValueError("not a power") from None
    return found


def disk(text: str) -> Values:
    """``Device tps MB_read/s ... sda 1.0 ...``: MB since the node started, by device."""
    if (head := _DISK_HEAD.match(text)) is None:
        raise ValueError("not the words of iostat")
    words = text[head.end() :].split()
    if not words or len(words) % _DEVICE_FIELDS:
        raise ValueError("not six words for each device")
    found = {}
    for place in range(0, len(words), _DEVICE_FIELDS):
        device, *numbers = words[place : place + _DEVICE_FIELDS]
        values = [_number(each) for each in numbers]
        found[f"read_MB:{device}"], found[f"write_MB:{device}"] = values[3:]
    return found


def network(text: str) -> Values:
    """``EXPERIMENT_IFACE: enp94s0f0, rxpck/s: ..., rxkB/s: ...``: kB/s each way."""
    if (line := _IFACE.match(text)) is None:
        raise ValueError("not the words of sar")
    fields = dict(each.split(": ", 1) for each in text.split(", ") if ": " in each)
    try:
        received, sent = _number(fields["rxkB/s"]), _number(fields["txkB/s"])
    except KeyError as missing:
        raise ValueError(f"without {missing.args[0]}") from None
    which = line[1].lower()
    return {f"received_kBps:{which}": received, f"sent_kBps:{which}": sent}


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not a number")
    return value


READERS: Mapping[str, Callable[[str], Values]] = {
    "cpu": cpu,
    "gpu": gpu,
    "disk": disk,
    "network": network,
}
"""What reads a line of values, by the kind of log."""


@dataclass
class Sum:
    """One measure of a node within one window.

    Attributes
    ----------
    grown : for counters, by how much they grew; a counter that fell had started anew.
    """

    samples: int = 0
    total: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    last: float | None = None
    grown: float = 0.0

    def add(self, value: float) -> None:
        self.samples += 1
        self.total += value
        self.low, self.high = min(self.low, value), max(self.high, value)
        if self.last is not None:
            self.grown += value - self.last if value >= self.last else value
        self.last = value

    @property
    def mean(self) -> float:
        return self.total / self.samples


@dataclass
class Within:
    """A node's samples within a window: ``first`` and ``last`` are the times of the outermost."""

    first: str = ""
    last: str = ""
    sums: dict[str, Sum] = field(default_factory=dict)


def parse(
    lines: Iterable[tuple[int, str]],
    account: Account,
    kind: str,
    windows: Sequence[tuple[str, str]],
) -> dict[tuple[str, str], Within]:
    """Sums of a log of ``kind``, by window (start, end; the end is not part of it)."""
    value_of = READERS[kind]
    found: dict[tuple[str, str], Within] = {}
    now: list[Within] | None = None
    outside = False  # of every window; of values without a time it is not known
    for number, text in lines:
        if _STAMP.match(text):
            around = [window for window in windows if window[0] <= text < window[1]]
            outside = not around
            now = [found.setdefault(window, Within(text)) for window in around]
            for within in now:
                within.last = text
            continue
        if _LIKE_STAMP.match(text):
            account.damage(number, "a time that is not whole", text)
            now, outside = None, False
            continue
        if outside or not text.strip():
            continue
        try:
            values = value_of(text)
        except ValueError as error:
            account.damage(number, str(error), text)
            continue
        if now is None:
            account.damage(number, "values without their time", text)
            continue
        account.used += 1
        for within in now:
            for name, value in values.items():
                within.sums.setdefault(name, Sum()).add(value)
    return found
