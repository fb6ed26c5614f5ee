"""``global.log``: when each experiment of a time stamp started and ended."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from experiments.analysis.release.text import Account

_EDGE = re.compile(r"(.+?), (Start|End) time (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\s*$")
_TOTAL = re.compile(r"(.+?), TOTAL EXECUTION TIME OVER ALL MST (\d+(?:\.\d+)?)\s*$")
_MODEL = re.compile(r"model-\d+$")


@dataclass(frozen=True)
class Window:
    """One experiment by the clock of the machine that gave the commands.

    Attributes
    ----------
    name : the experiment's folder.
    start, end : ``YYYY-MM-DD HH:MM:SS``; no end where it was not written.
    said_s : seconds that the release's driver says it took.
    """

    name: str
    start: str
    end: str | None
    said_s: float | None

    @property
    def seconds(self) -> float | None:
        """From start to end."""
        return None if self.end is None else seconds_between(self.start, self.end)


def seconds_between(start: str, end: str) -> float:
    """Seconds between two times of a log."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def is_time(text: str) -> bool:
    """Whether a text of the right form is a time that exists."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def parse(lines: Iterable[tuple[int, str]], account: Account) -> list[Window]:
    """The experiments of one ``global.log``, in the order they started.

    One that was started again comes once more. Lines about single models (of the data-parallel
    baseline) are known and left out.
    """
    found: list[Window] = []
    for number, text in lines:
        edge, total = _EDGE.match(text), _TOTAL.match(text)
        if edge is None and total is None:
            if text.strip():
                account.damage(number, "not a line of global.log", text)
            continue
        if edge is not None and not is_time(edge[3]):
            account.damage(number, "no such time", text)
            continue
        account.used += 1
        name = (edge or total)[1]  # type: ignore[index]
        if _MODEL.match(name):
            continue
        if edge is not None and edge[2] == "Start":
            found.append(Window(name, edge[3], None, None))
            continue
        last = next((i for i in reversed(range(len(found))) if found[i].name == name), None)
        if last is None:
            account.used -= 1
            account.damage(number, "the end of what was never started", text)
        elif edge is not None:
            found[last] = Window(name, found[last].start, edge[3], found[last].said_s)
        elif total is not None:
            found[last] = Window(name, found[last].start, found[last].end, float(total[2]))
    return found
