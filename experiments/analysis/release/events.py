"""Time between a worker's events, summed by pair: where an epoch of the release's runs went.

The release's own method: of every segment or worker, each two events that follow one another are an
interval, and what it counts to depends on the two (``release_logs.toml``, ``events``). Its clocks
have seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from experiments.specs.release_logs import Rule

_MOST_PAIRS = 2000
_REST = ("many others", "many others")


@dataclass
class Intervals:
    """Sums over pairs of events; memory grows with workers and kinds of events only."""

    seconds: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    _last: dict[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def workers(self) -> tuple[str, ...]:
        """Every worker that had an event."""
        return tuple(sorted(self._last))

    def add(self, worker: str, event: str, second: float) -> bool:
        """Note an event; whether it does not lie before the worker's last one."""
        before = self._last.get(worker)
        if before is not None:
            if second < before[1]:
                return False
            pair = (before[0], event)
            if pair not in self.seconds and len(self.seconds) >= _MOST_PAIRS:
                pair = _REST
            self.seconds[pair] += second - before[1]
        self._last[worker] = (event, second)
        return True

    def join(self, other: Intervals) -> None:
        """Add the intervals of other workers."""
        for pair, value in other.seconds.items():
            self.seconds[pair] += value
        self._last |= other._last


def components(
    seconds: Mapping[tuple[str, str], float], rules: Iterable[Rule]
) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """Seconds of all workers by component, and the pairs that no rule is for."""
    rules = tuple(rules)
    found: dict[str, float] = {}
    unmapped: dict[tuple[str, str], float] = {}
    for pair, value in seconds.items():
        component = next((rule.component for rule in rules if rule.fits(*pair)), None)
        if component is None:
            unmapped[pair] = value
        else:
            found[component] = found.get(component, 0.0) + value
    return found, unmapped
