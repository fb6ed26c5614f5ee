"""What predictions at paper scale take from elsewhere, as ``prediction.toml`` says."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import SpecError
from experiments.paths import SPECS

WAYS = ("database", "files", "ranks")
SCHEDULING = ("random", "barriers", "averaging", "all-reduce")
KINDS = ("paper", "devices", "textbook")


@dataclass(frozen=True)
class Input:
    """A number, or rows of the device table, and what it rests on; fields as in the file."""

    id: str
    kind: str
    source: str
    value: float | None
    data: str
    ways: tuple[str, ...]
    fitted: tuple[str, ...]


@dataclass(frozen=True)
class Predicted:
    """A data set of the paper whose rows are predicted; sizes in bytes.

    Attributes
    ----------
    table, components : the paper's, by their ids in ``paper.json``.
    """

    id: str
    title: str
    experiment: str
    table: str
    components: str
    row_bytes: int
    page_file_bytes: float


@dataclass(frozen=True)
class PaperRow:
    """How a row of the paper is predicted; ``approaches`` by table, the default under ``""``."""

    name: str
    approaches: Mapping[str, str]
    way: str
    scheduling: str

    def approach(self, table: str) -> str:
        """The approach here that stands for the row in a figure or table of the paper."""
        return self.approaches.get(table, self.approaches[""])


@dataclass(frozen=True)
class Claim:
    """What the paper says of two of its rows.

    Attributes
    ----------
    close : relative difference within which they are alike; ``None`` where one is faster.
    experiment : what they train; nothing for the data set's end-to-end experiment.
    """

    words: str
    place: str
    faster: str
    slower: str
    data: tuple[str, ...]
    close: float | None
    experiment: str | None

    def holds(self, faster: float, slower: float) -> bool:
        """Whether it does, of two times."""
        if self.close is None:
            return faster < slower
        return abs(faster / slower - 1.0) <= self.close


@dataclass(frozen=True)
class Assumptions:
    """All of ``prediction.toml``."""

    datasets: Mapping[str, Predicted]
    inputs: Mapping[str, Input]
    rows: Mapping[str, PaperRow]
    claims: tuple[Claim, ...]

    def used(self, dataset: str, way: str) -> tuple[Input, ...]:
        """The inputs of a prediction."""
        return tuple(
            each for each in self.inputs.values() if way in each.ways and each.data in {"", dataset}
        )

    def value(self, name: str, dataset: str = "") -> float:
        """An input's number, the data set's own where there are several."""
        own = self.inputs.get(f"{name}-{dataset}", self.inputs.get(name))
        if own is None or own.value is None or own.data not in {"", dataset}:
            raise SpecError(f"prediction.toml: no value of {name!r} for {dataset or 'any data'}")
        return own.value


@functools.cache
def load(path: Path = SPECS / "prediction.toml") -> Assumptions:
    """The file, checked.

    Raises
    ------
    SpecError
        A kind, a way, a scheduling or a row that does not exist.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    inputs = {
        key: Input(
            id=key,
            kind=row["kind"],
            source=row["source"],
            value=row.get("value"),
            data=row.get("data", ""),
            ways=tuple(row["ways"]),
            fitted=tuple(row["fitted"]),
        )
        for key, row in table.pop("inputs").items()
    }
    rows = {
        key: PaperRow(
            name=key,
            approaches={
                "": row["approach"],
                **{name[3:]: own for name, own in row.items() if name.startswith("in_")},
            },
            way=row["way"],
            scheduling=row["scheduling"],
        )
        for key, row in table.pop("rows").items()
    }
    claims = tuple(
        Claim(
            **{"close": None, "experiment": None, **row, "data": tuple(row["data"])},
        )
        for row in table.pop("claims")
    )
    datasets = {key: Predicted(id=key, **row) for key, row in table.items()}
    known: dict[str, tuple[str, Collection[str]]] = {
        **{f"kind of {each.id}": (each.kind, KINDS) for each in inputs.values()},
        **{f"data of {each.id}": (each.data, ("", *datasets)) for each in inputs.values()},
        **{f"a way of {each.id}": (way, WAYS) for each in inputs.values() for way in each.ways},
        **{f"way of {each.name}": (each.way, WAYS) for each in rows.values()},
        **{f"scheduling of {each.name}": (each.scheduling, SCHEDULING) for each in rows.values()},
        **{f"a row of {each.words!r}": (each.faster, rows) for each in claims},
        **{f"the other row of {each.words!r}": (each.slower, rows) for each in claims},
    }
    for what, (value, values) in known.items():
        if value not in values:
            raise SpecError(f"{path}: {what} is {value!r}, not one of {list(values)}")
    return Assumptions(datasets, inputs, rows, claims)
