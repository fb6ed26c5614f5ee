"""Read ``claims.toml`` and check it: every complaint names the file and the claim."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from experiments.errors import SpecError
from experiments.paths import SPECS
from experiments.specs.claim import (
    AXES,
    COMBINE,
    EVIDENCE,
    MEASURES,
    PAPER_VERDICTS,
    RELATIONS,
    SOURCES,
    Claim,
    Claims,
    Part,
    Quantity,
    Stated,
)
from experiments.specs.load import SCALES, approaches, experiments, figures, nearest

_SELECTORS = tuple(field.name for field in fields(Quantity))


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
