"""How well an emulated run kept the pace it was given: what of its time was not the device's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.specs.model import RunSpec
from experiments.telemetry.journal import Event

OVERHEAD_LIMIT = 0.05
"""The share of a unit's real time that may be something else than the device: as far as emulated
and simulated runs may be apart."""


@dataclass(frozen=True)
class Kept:
    """Sums over the units of training of a run.

    Attributes
    ----------
    units : how many.
    modelled : seconds of the device.
    waited : seconds really slept for it.
    real : seconds from giving units away to having them back; of units that end together, as in a
        synchronous batch, the longest counts.
    due : seconds that these should have taken: modelled ones, shortened.
    batches : how many of them there are.
    speedup : by which modelled seconds were shortened.
    """

    units: int
    modelled: float
    waited: float
    real: float
    due: float
    batches: int
    speedup: float

    @property
    def overhead(self) -> float:
        """The share of the real seconds that is not the device's."""
        return max(0.0, 1.0 - self.due / self.real) if self.real else 0.0

    @property
    def dominated(self) -> bool:
        """Whether the run says more of this machine than of the device."""
        return self.overhead > OVERHEAD_LIMIT

    @property
    def bearable(self) -> float:
        """The speed-up at which the same overhead would be within the limit."""
        apart = (self.real - self.due) * (1 - OVERHEAD_LIMIT) / OVERHEAD_LIMIT
        return self.speedup * self.due / apart if apart > 0 else self.speedup

    def to_json(self) -> dict[str, float | bool]:
        return {
            "units": self.units,
            "modelled_seconds": self.modelled,
            "waited_seconds": self.waited,
            "overhead_seconds_per_unit": (self.real - self.due) / max(1, self.batches),
            "overhead_share": self.overhead,
            "overheads_dominate": self.dominated,
            "bearable_speedup": self.bearable,
        }


def kept(speedup: float, events: Iterable[Event]) -> Kept:
    """What a journal says."""
    units = modelled = waited = real = due = batches = 0.0
    for batch in _batches(events):
        counters = [each["counters"] for each in batch]
        units += len(batch)
        batches += 1
        modelled += sum(each["modelled_seconds"] for each in counters)
        waited += sum(each["waited_seconds"] for each in counters)
        real += max(each["seconds"] for each in batch)
        due += max(each["modelled_seconds"] for each in counters) / speedup
    return Kept(int(units), modelled, waited, real, due, int(batches), speedup)


def told(spec: RunSpec, events: Iterable[Event]) -> dict[str, Any]:
    """What the result of a run says of it; nothing for one that is not emulated."""
    if spec.emulation is None:
        return {}
    found = kept(spec.emulation.speedup, events)
    return {"pace": {"device": spec.emulation.device, "speedup": found.speedup, **found.to_json()}}


def warning(result: Mapping[str, Any]) -> str | None:
    """One line for the user where a run could not keep its pace."""
    pace = result.get("pace")
    if not pace or not pace["overheads_dominate"]:
        return None
    return (
        f"--speedup {pace['speedup']:g} was not held: {100 * pace['overhead_share']:.0f} % of the "
        f"time of its units is this machine's own and not {pace['device']}'s "
        f"({1000 * pace['overhead_seconds_per_unit']:.0f} ms a unit); "
        f"--speedup {pace['bearable_speedup']:.2g} would be within "
        f"{100 * OVERHEAD_LIMIT:.0f} %"
    )


def _batches(events: Iterable[Event]) -> Iterator[list[Mapping[str, Any]]]:
    """Units of training that ended before another began, together."""
    ended: list[Mapping[str, Any]] = []
    for event in events:
        if event.kind == "unit_started" and ended:
            yield ended
            ended = []
        elif event.kind == "unit_finished" and event.detail["kind"] == "train":
            ended.append(event.detail)
    if ended:
        yield ended
