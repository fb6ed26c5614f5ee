"""Records made from raw downloads (:mod:`experiments.datasets.ingest`): rows by number."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.raw import Records
from experiments.datasets.source import Split
from experiments.errors import DataError
from experiments.files import write_atomically

MANIFEST = "manifest.json"
REJECTED = "rejected.jsonl"
"""Rows that were left out, one a line, with the file, the place and the reason."""


def record_type(dtype: str, shape: tuple[int, ...]) -> np.dtype[Any]:
    """A label and a compact row, as they lie in a shard."""
    return np.dtype([("y", "<i2"), ("x", np.dtype(dtype).newbyteorder("<"), shape)])


def shard_file(split: Split, number: int) -> str:
    """Path of a shard, relative to the folder."""
    return f"{split}/{number:05d}.records"


@dataclass(frozen=True)
class Shard:
    """A file of records.

    Attributes
    ----------
    file : relative to the folder.
    sha256 : hex digest of the file.
    """

    split: Split
    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class IngestedManifest:
    """What ``manifest.json`` of an ingested folder says.

    Attributes
    ----------
    input_shape : of a dense row.
    dtype, shape : of a compact row.
    identity : what the records were made from, and the version of the code.
    shards : in raw order, of both splits.
    noted : rows that needed special care, by kind.
    rejected : number of rows that were left out.
    """

    name: str
    description: str
    licence: str
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    dtype: str
    shape: tuple[int, ...]
    identity: Mapping[str, Any]
    shards: tuple[Shard, ...]
    noted: Mapping[str, int]
    rejected: int

    def rows(self, split: Split) -> int:
        return sum(shard.rows for shard in self.shards if shard.split == split)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the digests of all shards: the records themselves."""
        text = "".join(f"{shard.file} {shard.rows} {shard.sha256}\n" for shard in self.shards)
        return hashlib.sha256(text.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        said = {**asdict(self), "rows": {split: self.rows(split) for split in ("train", "valid")}}
        write_atomically(folder / MANIFEST, json.dumps(said, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> IngestedManifest:
        """The manifest of an ingested folder.

        Raises
        ------
        DataError
            It is missing or damaged; the message says what to do.
        """
        path = folder / MANIFEST
        try:
            said = dict(json.loads(path.read_text(encoding="utf-8")))
            del said["rows"]  # a sum over the shards, for whoever reads the file
            for key in ("input_shape", "class_names", "shape"):
                said[key] = tuple(said[key])
            said["shards"] = tuple(Shard(**shard) for shard in said["shards"])
            manifest = cls(**said)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}); {_mend(folder)}") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"{type(error).__name__}: {error}"
            raise DataError(
                f"{path} is not the manifest of records ({why}); {_mend(folder)}"
            ) from None
        return manifest


def _mend(folder: Path) -> str:
    return f"remove the folder {folder} and give --data again"


@dataclass(frozen=True)
class Ingested:
    """A folder of records.

    Attributes
    ----------
    root : the folder.
    manifest : what it says of itself.
    """

    root: Path
    manifest: IngestedManifest

    @classmethod
    def open(cls, root: Path) -> Ingested:
        """Open a folder; sizes of its files are compared with the manifest.

        Raises
        ------
        DataError
            The manifest or a shard is missing or damaged.
        """
        manifest = IngestedManifest.read(root)
        for shard in manifest.shards:
            path = root / shard.file
            try:
                size = path.stat().st_size
            except OSError as error:
                raise DataError(
                    f"{path} cannot be read ({error.strerror}); {_mend(root)}"
                ) from None
            if size != shard.bytes:
                raise DataError(f"{path} has {size} bytes, not {shard.bytes}; {_mend(root)}")
        return cls(root, manifest)

    def verify(self) -> None:
        """Compare every shard with its digest.

        Raises
        ------
        DataError
            One differs; the message names it.
        """
        for shard in self.manifest.shards:
            path = self.root / shard.file
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
                    raise DataError(f"{path} is damaged (its SHA-256 differs); {_mend(self.root)}")

    @contextmanager
    def reader(self, split: Split) -> Iterator[RecordReader]:
        """Rows of a split by number."""
        shards = [shard for shard in self.manifest.shards if shard.split == split]
        descriptors: list[int] = []
        try:
            descriptors.extend(os.open(self.root / shard.file, os.O_RDONLY) for shard in shards)
            record = record_type(self.manifest.dtype, self.manifest.shape)
            yield RecordReader(descriptors, [shard.rows for shard in shards], record)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


class RecordReader:
    """Reads records one by one, so that no more of a shard is in memory than was asked for."""

    def __init__(self, descriptors: list[int], rows: list[int], record: np.dtype[Any]) -> None:
        self._descriptors = descriptors
        self._ends = np.cumsum(rows)
        self._record = record

    def records(self, rows: NDArray[np.int64]) -> Records:
        """Compact rows and labels, in the order asked for."""
        size = self._record.itemsize
        found = np.empty(len(rows), self._record)
        places = found.view(np.uint8).data
        shards = np.searchsorted(self._ends, rows, side="right")
        starts = np.concatenate([[0], self._ends])
        offsets = (rows - starts[shards]) * size
        for index, (shard, offset) in enumerate(
            zip(shards.tolist(), offsets.tolist(), strict=True)
        ):
            target = places[index * size : (index + 1) * size]
            if os.preadv(self._descriptors[shard], [target], offset) != size:
                raise IndexError(f"no row {rows[index]}")
        return found["x"], found["y"]
