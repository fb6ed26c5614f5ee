"""Data sets that are read from raw archives: the user's downloads, or small ones of our making."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.ingest import Passed, ingest
from experiments.datasets.ingested import Ingested, RecordReader
from experiments.datasets.raw import RawData, Records
from experiments.datasets.recipe import code_version
from experiments.datasets.source import Json, RowReader, SourceInfo, Split
from experiments.errors import DataError
from experiments.files import unwritable
from experiments.paths import state


@dataclass(frozen=True)
class Downloaded:
    """Archives that the user has to bring, as a :class:`~experiments.datasets.source.Source`.

    Attributes
    ----------
    name : of the data set.
    raw : the archives in a folder.
    """

    name: str
    raw: Callable[[Path], RawData]

    @property
    def folder(self) -> Path:
        """Where the archives lie unless the user says otherwise."""
        return state().raw / self.name

    @property
    def records(self) -> Path:
        """Where their records lie."""
        return state().ingested / self.name

    def ingest(
        self, folder: Path | None = None, report: Callable[[Passed], None] = lambda passed: None
    ) -> Ingested:
        """Make records from the archives, or open those that are there.

        Raises
        ------
        DataError, EnvironmentFault
            As :func:`experiments.datasets.ingest.ingest`.
        """
        if folder is None and self.records.exists() and not self.folder.exists():
            return Ingested.open(self.records)  # the archives have been moved away
        return ingest(self.raw(folder or self.folder), self.records, report)

    def opened(self) -> Ingested:
        """The records.

        Raises
        ------
        DataError
            There are none yet.
        """
        if not self.records.exists():
            raise DataError(
                f"{self.name} has not been read yet: python3 reproduce.py --data {self.name} "
                "--source FOLDER reads it from its downloads, and says which"
            )
        return Ingested.open(self.records)

    @property
    def info(self) -> SourceInfo:
        said = self.opened().manifest
        return SourceInfo(
            self.name, said.description, said.licence, said.input_shape, said.class_names
        )

    def rows(self, split: Split) -> int:
        return self.opened().manifest.rows(split)

    def identity(self) -> Mapping[str, Json]:
        return {"records": self.opened().manifest.digest}

    def scratch_bytes(self, split: Split) -> int:
        return 0

    @contextmanager
    def open(self, split: Split, scratch: Path) -> Iterator[RowReader]:
        with self.opened().reader(split) as records:
            yield _Rows(records, self.raw(self.folder))


@dataclass(frozen=True)
class Generated(Downloaded):
    """Archives in the raw format of which every byte is ours; made and read when first asked for.

    Attributes
    ----------
    generate : writes the archives into a folder; what is there is kept.
    """

    generate: Callable[[Path], None]

    @property
    def folder(self) -> Path:
        return state().generated / f"{self.name}-{code_version()}"

    @property
    def records(self) -> Path:
        return state().ingested / f"{self.name}-{code_version()}"

    def ingest(
        self, folder: Path | None = None, report: Callable[[Passed], None] = lambda passed: None
    ) -> Ingested:
        if not self.records.exists():
            target = folder or self.folder
            try:
                self.generate(target)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise unwritable(target, error) from error
        return super().ingest(folder, report)

    def opened(self) -> Ingested:
        return self.ingest()


class _Rows:
    """Rows by number: compact as they were ingested, or dense."""

    def __init__(self, records: RecordReader, raw: RawData) -> None:
        self._records = records
        self._raw = raw

    def compact(self, rows: NDArray[np.int64]) -> Records:
        return self._records.records(rows)

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        x, y = self.compact(rows)
        return self._raw.dense(x), y
