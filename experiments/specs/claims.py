"""The paper's claims as data: what each says, what decides it, and within which tolerance.

``claims.toml`` holds them. A claim has *parts*; a part compares *quantities* by one *relation*.
Where the quantities come from (the paper's own numbers, or runs) is not said here.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from experiments.errors import SpecError
from experiments.paths import SPECS
from experiments.specs.load import SCALES, approaches, experiments, figures, nearest

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


_SELECTORS = tuple(field.name for field in fields(Quantity))


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


def load(path: Path = SPECS / "claims.toml") -> Claims:
    """The claims, checked.

    Raises
    ------
    SpecError
        The file cannot be read, or a claim does not hold together; the message names file and
        claim.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SpecError(f"{path}: cannot be read ({error})") from None
    stand_ins = {name: tuple(ids) for name, ids in table.get("stand_ins", {}).items()}
    for name, ids in stand_ins.items():
        for each in ids:
            if each not in approaches():
                raise nearest(f"approach in {path.name}, stand_ins.{name},", each, approaches())
    origins: Mapping[str, str] = table.get("origins", {})
    stated = tuple(
        _stated(_Reader(f"{path.name}: stated[{at}]", row, stand_ins, origins))
        for at, row in enumerate(table.get("stated", ()))
    )
    claims = {
        key: _claim(key, _Reader(f"{path.name}: claim {key}", row, stand_ins, origins))
        for key, row in table.get("claims", {}).items()
    }
    return Claims(claims, stand_ins, stated)


class _Reader:
    """One table of the file, read key by key; every complaint begins with where it is."""

    def __init__(
        self,
        where: str,
        table: Any,
        stand_ins: Mapping[str, Sequence[str]],
        origins: Mapping[str, str],
    ) -> None:
        self.where, self.stand_ins, self.origins = where, stand_ins, origins
        if not isinstance(table, dict):
            raise self.error("expected a table")
        self._rest: dict[str, Any] = dict(table)

    def error(self, problem: str) -> SpecError:
        return SpecError(f"{self.where}: {problem}")

    def below(self, where: str, table: Any) -> _Reader:
        return _Reader(f"{self.where}, {where}", table, self.stand_ins, self.origins)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._rest.pop(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.error(f"{key} is missing or no text")
        return value

    def number(self, key: str) -> float | None:
        value = self._rest.pop(key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise self.error(f"{key} is {value!r}, no number")
        return value

    def one_of(self, key: str, known: Sequence[str], default: str) -> str:
        value = self.text(key, default)
        if value not in known:
            raise self._unknown(key, value, known)
        return value

    def some_of(self, key: str, known: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
        values = self._rest.pop(key, list(default))
        if not isinstance(values, list):
            raise self.error(f"{key} is no list")
        for each in values:
            if each not in known:
                raise self._unknown(key, str(each), known)
        return tuple(values)

    def take(self, key: str, default: Any) -> Any:
        return self._rest.pop(key, default)

    def quantity(self, selector: Any, common: Quantity) -> Quantity:
        """A quantity: an approach by its name, or a table of what it has beside the others."""
        table = {"approach": selector} if isinstance(selector, str) else selector
        if not isinstance(table, dict):
            raise self.error(f"{selector!r} is no quantity")
        for key in table:
            if key not in _SELECTORS:
                raise self._unknown("quantity", key, _SELECTORS)
        found = replace(common, **table)
        known = {*approaches(), *self.stand_ins}
        for key, value, names in (
            ("measure", found.measure, MEASURES),
            ("experiment", found.experiment, experiments()),
            ("approach", found.approach, known),
        ):
            if value and value not in names:
                raise self._unknown(key, value, tuple(names))
        return found

    def term(self, selector: Any, common: Quantity) -> Quantity:
        """A quantity that is compared: it has a measure."""
        found = self.quantity(selector, common)
        if not found.measure:
            raise self.error(f"a quantity without measure: {selector!r}")
        return found

    def selectors(self) -> dict[str, Any]:
        """What the table says for all of its quantities."""
        return {key: self._rest.pop(key) for key in _SELECTORS if key in self._rest}

    def finish(self) -> None:
        for key in self._rest:
            raise self.error(f"{key} is not a known key")

    def _unknown(self, kind: str, value: str, known: Sequence[str]) -> SpecError:
        return SpecError(f"{self.where}: {nearest(kind, value, known)}")


def _claim(key: str, row: _Reader) -> Claim:
    parts = tuple(
        part
        for at, table in enumerate(row.take("parts", []), start=1)
        for part in _parts(row.below(f"part {at}", table))
    )
    claim = Claim(
        id=key,
        title=row.text("title"),
        words=row.text("words"),
        place=row.text("place"),
        needs=row.some_of("needs", tuple(experiments()), ()),
        figures=row.some_of("figures", tuple(figures()), ()),
        paper_verdict=row.one_of("paper_verdict", PAPER_VERDICTS, ""),
        parts=parts,
        combine=row.one_of("combine", COMBINE, COMBINE[0]),
        scales=row.some_of("scales", tuple(SCALES), tuple(SCALES)),
        evidence=row.some_of("evidence", EVIDENCE, EVIDENCE[:2]),
        habits=row.text("habits", ""),
        missing=row.text("missing", ""),
    )
    row.finish()
    if bool(claim.parts) == bool(claim.missing):
        raise row.error("has either parts or what is missing to check it")
    used = {q.experiment for part in parts if part.source != "paper" for q in part.quantities}
    if used - {"", *claim.needs}:
        raise row.error(f"compares {', '.join(sorted(used - {'', *claim.needs}))}, not in needs")
    return claim


def _parts(row: _Reader) -> list[Part]:
    """One part for each case: every combination of what ``each`` lists."""
    what, relation = row.text("what"), row.one_of("relation", tuple(RELATIONS), "")
    common, each = row.selectors(), row.take("each", {})
    lists = {name: row.take(name, None) for name in RELATIONS[relation]}
    tolerance, points = row.number("tolerance"), row.number("points")
    low, high = row.number("low"), row.number("high")
    neutral = 1.0 if relation == "ratio" else row.number("neutral")
    along = row.one_of("along", ("", *AXES), "")
    origin = row.text("origin", "")
    source = row.one_of("source", ("", *SOURCES), "")
    row.finish()
    if (relation == "rises") != bool(along) and relation not in {"between", "agrees"}:
        raise row.error("only what rises, is between or agrees goes along an axis")
    bounded = low is not None or high is not None
    if bounded != (relation in {"between", "ratio"}):
        raise row.error(f"low and high are of between and ratio, not of {relation}")
    if relation in {"close", "agrees"} and tolerance is None and points is None:
        raise row.error(f"{relation} needs a tolerance, or points")
    if (bounded or tolerance is not None or points is not None) and not origin:
        raise row.error("a tolerance or bound needs its origin")
    parts = []
    for values in itertools.product(*each.values()):
        case = row.quantity({**common, **dict(zip(each, values, strict=True))}, Quantity())
        groups = {
            name: tuple(
                tuple(row.term(term, case) for term in _group(entry))
                for entry in (lists[name] if lists[name] is not None else [{}])
            )
            for name in RELATIONS[relation]
        }
        parts.append(
            Part(
                what,
                dict(zip(each, values, strict=True)),
                relation,
                groups,
                tolerance or 0.0,
                points,
                low,
                high,
                neutral,
                along,
                row.origins.get(origin, origin),
                source,
            )
        )
    return parts


def _group(entry: Any) -> Sequence[Any]:
    return entry if isinstance(entry, list) else [entry]


def _stated(row: _Reader) -> Stated:
    value = row.number("value")
    unit, source = row.text("unit", ""), row.text("source")
    quantity = row.term(row.selectors(), Quantity())
    row.finish()
    if value is None:
        raise row.error("value is missing")
    return Stated(quantity, value, unit, source)
