"""Values as people read them."""

from __future__ import annotations

import math

_UNITS = {"s": "s", "h": "h", "mb": "MB", "gb": "GB", "tb": "TB"}


def duration(seconds: float) -> str:
    """Seconds for people: ``8 s``, ``2 min 05 s``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: int) -> str:
    """Bytes for people: ``12 MiB``, ``3.4 GiB``."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{math.ceil(count / 2**20)} MiB"


def column(name: str) -> str:
    """A CSV column's name: ``ours_s`` is ``ours (s)``, ``paper_share`` is ``paper share``."""
    rest, _, unit = name.rpartition("_")
    if rest and unit in _UNITS:
        return f"{rest.replace('_', ' ')} ({_UNITS[unit]})"
    return name.replace("_", " ")


def short(value: float) -> str:
    """A number with four digits that count, or whole where it is large or whole."""
    if value == int(value) or abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def percent(part: float) -> str:
    """A part as signed percent."""
    return f"{100 * part:+.0f} %"


def percent_of(part: float) -> str:
    """A part as percent of a whole."""
    return f"{100 * part:.0f} %"


def gigabytes(size: float) -> str:
    """Bytes as gigabytes of 10⁹."""
    return f"{size / 1e9:.1f} GB"


def part_of(value: float, most: float) -> str:
    """How much ``value`` is of ``most``, in percent, for a bar's width."""
    return f"{100 * value / most:.2f}" if most else "0"
