"""What a claim's check is made of: numbers with their spread and evidence, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from experiments.analysis.resources import resources as sampled_resources
from experiments.analysis.runs import Run
from experiments.analysis.samples import NOT_RECORDED
from experiments.report.verdict import Outcome
from experiments.specs.claim import MEASURES as CLAIMED
from experiments.specs.claim import Quantity


@dataclass(frozen=True)
class Value:
    """One quantity.

    Attributes
    ----------
    samples : one number of each seed; at least one.
    unit : of the numbers; empty for ratios.
    evidence : kinds of evidence of what it was made from; empty for formulas.
    runs : names of the runs that it was made from.
    """

    samples: tuple[float, ...]
    unit: str = ""
    evidence: frozenset[str] = frozenset()
    runs: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        return sum(self.samples) / len(self.samples)


@dataclass(frozen=True)
class Unavailable:
    """Why a quantity has no value.

    Attributes
    ----------
    outcome : ``NOT_RUN`` where runs are missing, ``NOT_MEASURABLE`` where something else is.
    pending : whether a command at this scale would bring it.
    """

    reason: str
    outcome: Outcome = Outcome.NOT_MEASURABLE
    pending: bool = False


Found = Value | Unavailable
Point = int | str


class Source(Protocol):
    """Where quantities come from: the paper's own numbers, or runs."""

    def value(self, quantity: Quantity) -> Found: ...

    def points(self, quantity: Quantity, axis: str) -> tuple[Point, ...]:
        """The points of an axis at which a quantity may have values, in order."""
        ...


RESOURCES: Mapping[str, str] = {
    "gpu_util_pct": "%",
    "gpu_ram_pct": "%",
    "cpu_pct": "%",
    "cpu_beside_gpu_pct": "%",
    "dram_pct": "%",
    "network_bytes": "B",
    "disk_read_bytes": "B",
    "disk_write_bytes": "B",
}
"""Measures that samples of a machine's resources answer, with their units."""

BESIDE_GPU = "cpu_beside_gpu_pct"
_OF_GPUS = ("gpu_util_pct", "gpu_ram_pct", BESIDE_GPU)


def resources(run: Run) -> Mapping[str, float | Unavailable]:
    """Every measure of :data:`RESOURCES` of a run, its ETL left out as in the paper."""
    trained_on = devices(run)
    without = not any("CPU" not in name for name in trained_on)
    where = ", ".join(sorted(trained_on)) or "what the journal does not name"
    sampled = sampled_resources(run)
    found: dict[str, float | Unavailable] = {}
    for measure in RESOURCES:
        value = sampled["cpu_pct" if measure == BESIDE_GPU else measure]
        if measure in _OF_GPUS and without:
            reason = f"no GPU: the units of {run.spec.experiment} were trained on {where}"
            found[measure] = Unavailable(reason)
        elif value.reason == NOT_RECORDED:
            reason = f"{run.name} has no samples of resources: run it again with --fresh"
            found[measure] = Unavailable(reason, Outcome.NOT_RUN, pending=True)
        elif value.number is None:
            found[measure] = Unavailable(f"{CLAIMED[measure]} of {run.name}: {value.reason}")
        else:
            found[measure] = value.number
    return found


def devices(run: Run) -> frozenset[str]:
    """The devices that a run's units were trained on, as frameworks call them."""
    return frozenset(
        str(event.detail["device"])
        for event in run.events
        if event.kind == "unit_finished" and "device" in event.detail
    )


def unavailable(found: Iterable[Found]) -> tuple[Unavailable, ...]:
    """Those that have no value, each reason once."""
    kept = {one.reason: one for one in found if isinstance(one, Unavailable)}
    return tuple(kept.values())
