"""Progress of a playbook: a line for each host that says what it is at.

On a terminal the lines redraw themselves; elsewhere each part of the playbook is a line, and so is
each host at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text


class HostLines:
    """A context manager; quiet shows nothing.

    Parameters
    ----------
    hosts : in the order in which they are shown.
    """

    def __init__(self, hosts: Iterable[str], *, quiet: bool) -> None:
        self._doing = dict.fromkeys(hosts, "waits")
        self._done: dict[str, Counter[str]] = {host: Counter() for host in self._doing}
        self._console = Console(stderr=True, quiet=quiet)
        self._live: Live | None = None
        if self._console.is_terminal and not quiet:
            self._live = Live(console=self._console, refresh_per_second=4)

    @property
    def changes(self) -> int:
        """How many tasks have changed something."""
        return sum(done["changed"] for done in self._done.values())

    def take(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        host = event.get("host")
        if event["event"] == "play":
            self._say(event["name"])
        elif host in self._doing:
            if event["event"] == "task":
                self._doing[host] = ": ".join(filter(None, (event["role"], event["task"])))
            elif event["event"] == "result":
                self._done[host][event["state"]] += 1
        if self._live:
            self._live.update(Group(*(Text(self._line(each)) for each in self._doing)))

    def __enter__(self) -> Self:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._doing = dict.fromkeys(self._doing, "done" if kind is None else "stopped")
        if self._live:
            self._live.update(Group(*(Text(self._line(each)) for each in self._doing)))
            self._live.__exit__(kind, value, trace)
        else:
            for host in self._doing:
                self._say(self._line(host))

    def _line(self, host: str) -> str:
        done = self._done[host]
        count = done["ok"] + done["changed"]
        trouble = [f"{done[state]} {state}" for state in ("failed", "unreachable") if done[state]]
        counts = ", ".join([f"{count} tasks", f"{done['changed']} changed", *trouble])
        return f"    {host}: {self._doing[host]} ({counts})"

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
