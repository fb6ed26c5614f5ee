"""What a claim of the paper is: its parts, the quantities that they compare, and by what.

``claims.toml`` holds all of them, :mod:`experiments.specs.claims` reads it. Where quantities come
from (the paper's own numbers, or runs) is not said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MEASURES: Mapping[str, str] = {
    "execution": "seconds of training and evaluation",
    "etl": "seconds of ETL",
    "end_to_end": "seconds of ETL and execution",
    "epoch": "execution by the number of epochs",
    "train_valid": "training and evaluation in an epoch, mean per worker",
    "data_transmission": "data transmission in an epoch, mean per worker",
    "model_transmission": "model transmission in an epoch, mean per worker",
    "approach_specific": "averaging and idling in an epoch, mean per worker",
    "epoch_parts": "the four components of an epoch together, mean per worker",
    "data_transmission_share": "data transmission as a part of the four components",
    "approach_specific_share": "averaging and idling as a part of the four components",
    "final_error": "validation measure of the best configuration after the last epoch",
    "final_top1_error": "top-1 validation error of the best configuration after the last epoch",
    "time_to_ma_error": "execution until the error is below what MA ends with",
    "read_bytes": "bytes that training reads through the data system",
    "read_over_packed": "bytes that training reads, over bytes of the table that it reads",
    "moved_bytes": "bytes of states read and written by units of training",
    "moved_over_formula": "bytes of states moved, over what the formula of model hopping says",
    "copies_held": "bytes of its own on disk beside the table, over bytes of the table",
    "copies_written": "bytes that the ETL writes for Spark, over one copy of the data set",
    "gpu_util_pct": "GPU utilization",
    "gpu_ram_pct": "part of the time that the GPU's memory was accessed",
    "cpu_pct": "CPU utilization",
    "cpu_beside_gpu_pct": "CPU utilization while GPUs train",
    "dram_pct": "memory in use",
    "network_bytes": "bytes received by all nodes",
    "disk_read_bytes": "bytes read from disk by a worker",
    "disk_write_bytes": "bytes written to disk by a worker",
    "speed_up": "speed-up over the fewest workers",
    "efficiency": "speed-up by the number of workers",
    "train_valid_scaled": "machine time of training and evaluation over that of the fewest workers",
    "data_transmission_scaled": "machine time of data transmission over that of the fewest workers",
    "other_scaled": "machine time of all else over that of the fewest workers",
    "asynchronous_speed_up": "UDAF's time over CTQ's",
    "asynchronous_theory": "the same by Proposition 1",
    "simulated_speed_up": "the same on a virtual clock",
    "simulated_bound": "its bound by Proposition 2",
    "size_train_valid": "training and evaluation of models of one size in an epoch",
    "size_hop": "model transmission of models of one size in an epoch",
    "size_hop_share": "that as a part of both",
    "search_seconds": "seconds of a search",
    "search_error": "lowest error at a last epoch of a search",
    "lines": "lines of code",
}
"""What a quantity can be, in words."""

RELATIONS: Mapping[str, tuple[str, ...]] = {
    "order": ("terms",),
    "close": ("terms",),
    "between": ("terms",),
    "ratio": ("left", "right"),
    "agrees": ("left", "right"),
    "rises": ("terms",),
}
"""Every relation and the lists of quantities that it compares; what they mean is in
``experiments.report.relations``."""

PAPER_VERDICTS = ("OK", "PART", "NO", "EST", "by construction", "qualitative", "simulation")
"""What the paper's own numbers make of a claim: it holds, in part, not; no numbers to check (an
estimate, by construction, qualitative); holds by simulation only."""
WITHOUT_NUMBERS = ("EST", "by construction", "qualitative")

COMBINE = ("each", "all")
"""How parts make a claim: each says something by itself, or only all of them together do."""
EVIDENCE = ("measured", "emulated", "simulated")
SOURCES = ("paper", "ours")
MOST, LEAST = "most", "least"
AXES = ("workers", "architecture")


@dataclass(frozen=True)
class Quantity:
    """One number of a comparison; what does not apply is empty or None.

    Attributes
    ----------
    measure : one of :data:`MEASURES`.
    approach : an approach, or a name of :attr:`Claims.stand_ins`.
    workers : a number, or the most or least that there are.
    panel : of Figure 16, ``A`` to ``E``.
    """

    measure: str = ""
    experiment: str = ""
    approach: str = ""
    workers: int | str | None = None
    architecture: str = ""
    panel: str = ""


@dataclass(frozen=True)
class Part:
    """One comparison.

    Attributes
    ----------
    what : in a few words.
    case : what tells it from the part's other cases, by name; empty where it has one.
    groups : by list of the relation (``terms``, or ``left`` and ``right``), groups of quantities;
        only ``order`` has groups of more than one.
    tolerance : what may be between two numbers, as a part of the smaller.
    points : the same as an absolute difference.
    low, high : bounds of a number or a ratio.
    neutral : the number that says nothing: what is out of bounds, but on their side of it, has the
        direction. None where a number has no direction.
    along : axis of which every point is compared.
    origin : where tolerance or bounds come from.
    source : the one source that it can be asked of; empty for both.
    """

    what: str
    case: Mapping[str, int | str]
    relation: str
    groups: Mapping[str, tuple[tuple[Quantity, ...], ...]]
    tolerance: float
    points: float | None
    low: float | None
    high: float | None
    neutral: float | None
    along: str
    origin: str
    source: str

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return tuple(q for groups in self.groups.values() for group in groups for q in group)


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes
    ----------
    needs : experiments whose runs it needs.
    figures : that show it.
    paper_verdict : what the paper's own numbers make of it, one of :data:`PAPER_VERDICTS`.
    parts : what is compared, one for each case; empty where nothing can be.
    combine : one of :data:`COMBINE`.
    scales, evidence : that may decide it.
    habits : habits of the release that make a difference to it; it is then judged under every
        protocol of which there are runs. Empty: under ``equal`` only.
    missing : why it cannot be checked; empty where it has parts.
    """

    id: str
    title: str
    words: str
    place: str
    needs: tuple[str, ...]
    figures: tuple[str, ...]
    paper_verdict: str
    parts: tuple[Part, ...]
    combine: str
    scales: tuple[str, ...]
    evidence: tuple[str, ...]
    habits: str
    missing: str


@dataclass(frozen=True)
class Stated:
    """A number that the paper's text states and none of its figures has."""

    quantity: Quantity
    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class Claims:
    """All of ``claims.toml``.

    Attributes
    ----------
    stand_ins : by an approach's name in the paper, which parts use, those of ours that stand for
        it, best first.
    """

    claims: Mapping[str, Claim]
    stand_ins: Mapping[str, tuple[str, ...]]
    stated: tuple[Stated, ...]

    @property
    def needs(self) -> tuple[str, ...]:
        """Every experiment that a claim needs, each once."""
        return tuple(dict.fromkeys(name for one in self.claims.values() for name in one.needs))
