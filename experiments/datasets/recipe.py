"""Everything that decides the bytes of a prepared data set, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from experiments.datasets.source import SPLITS, Json, Source, Split
from experiments.errors import SpecError
from experiments.specs.model import DatasetSpec

FORMAT = 1
"""Version of the layout on disk."""


@cache
def code_version() -> str:
    """SHA-256 (16 hex digits) over the source files of this room."""
    digest = hashlib.sha256()
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(module.name.encode() + b"\0" + module.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Recipe:
    """What is taken from which source, and how it is cut.

    Attributes
    ----------
    name : of the data set.
    identity : what fixes the source's values (:meth:`Source.identity`).
    input_shape : shape of one row's features.
    class_names : one name per class.
    train_rows, valid_rows : first rows of the seeded shuffle of each split.
    partitions : number of partitions W of each split.
    seed : of the shuffle.
    code : :func:`code_version` of the code that prepared it.
    format : :data:`FORMAT` of that code.
    """

    name: str
    identity: Mapping[str, Json]
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    train_rows: int
    valid_rows: int
    partitions: int
    seed: int
    code: str
    format: int = FORMAT

    @classmethod
    def of(cls, spec: DatasetSpec, source: Source, partitions: int, seed: int) -> Self:
        """The recipe for a spec; refuses what the source cannot give.

        Raises
        ------
        SpecError
            More rows than the source has, or fewer than one row per partition.
        """
        if partitions < 1:
            raise SpecError(f"{spec.name}: at least one partition is needed, not {partitions}")
        recipe = cls(
            name=spec.name,
            identity=source.identity(),
            input_shape=source.info.input_shape,
            class_names=source.info.class_names,
            train_rows=spec.train_rows,
            valid_rows=spec.valid_rows,
            partitions=partitions,
            seed=seed,
            code=code_version(),
        )
        for split in SPLITS:
            rows, most = recipe.split_rows(split), source.rows(split)
            if rows > most:
                raise SpecError(
                    f"{spec.name}: {rows} {split} rows asked for, the most it has is {most}"
                )
            if rows < partitions:
                raise SpecError(
                    f"{spec.name}: {rows} {split} rows cannot fill {partitions} partitions"
                )
        return recipe

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        fields = dict(data)
        fields["input_shape"] = tuple(fields["input_shape"])
        fields["class_names"] = tuple(fields["class_names"])
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over all fields."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def folder(self) -> str:
        """Name of the prepared folder."""
        return f"{self.name}-{self.fingerprint[:16]}"

    def split_rows(self, split: Split) -> int:
        """Rows of a split over all partitions."""
        return self.train_rows if split == "train" else self.valid_rows

    def bounds(self, split: Split, partition: int) -> tuple[int, int]:
        """First and one-past-last position of a partition in the split's shuffled order.

        Partitions are consecutive stretches, balanced to within one row: laid end to end they give
        the same order for every number of partitions.

        Raises
        ------
        IndexError
            There is no such partition.
        """
        if not 0 <= partition < self.partitions:
            raise IndexError(
                f"{self.name} has partitions 0..{self.partitions - 1}, not {partition}"
            )
        rows = self.split_rows(split)
        return partition * rows // self.partitions, (partition + 1) * rows // self.partitions

    def parts(self) -> Iterator[tuple[Split, int]]:
        """All (split, partition) pairs."""
        for split in SPLITS:
            for partition in range(self.partitions):
                yield split, partition
