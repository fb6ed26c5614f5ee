"""A prepared data set on disk, opened by workers and by the loader of the database."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.datasets.manifest import DTYPES, Array, Manifest, array_file
from experiments.datasets.source import Split
from experiments.errors import DataError

HASH_THREADS = 4

Features: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int16]


def one_hot(y: ArrayLike, classes: int) -> NDArray[np.int16]:
    """Labels as rows of zeros with a single one, the form in which MADlib packs them.

    Parameters
    ----------
    y : integers [n], each in ``0 … classes-1``.

    Returns
    -------
    int16 [n, classes]

    Raises
    ------
    ValueError
        A label lies outside its range.
    """
    labels = np.asarray(y)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(f"labels must lie in 0..{classes - 1}")
    coded = np.zeros((len(labels), classes), np.int16)
    coded[np.arange(len(labels)), labels] = 1
    return coded


@dataclass(frozen=True)
class Partition:
    """The rows of one partition; from a prepared data set they are memory mapped and read-only.

    Attributes
    ----------
    x : float32 [n, \\*input_shape]
    y : int16 [n], labels
    """

    x: Features
    y: Labels


@dataclass(frozen=True)
class PreparedDataset:
    """A folder made by :func:`experiments.datasets.prepare`.

    Attributes
    ----------
    root : the folder.
    manifest : what it says of itself.
    """

    root: Path
    manifest: Manifest

    @classmethod
    def open(cls, root: Path) -> PreparedDataset:
        """Open a prepared folder; looks at the manifest only (:meth:`verify` looks at the files).

        Raises
        ------
        DataError
            The manifest is missing or damaged.
        """
        return cls(root, Manifest.read(root))

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over everything that decides the bytes of this data set."""
        return self.manifest.recipe.fingerprint

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.manifest.recipe.input_shape

    @property
    def classes(self) -> int:
        return len(self.manifest.recipe.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.manifest.recipe.class_names

    @property
    def partitions(self) -> int:
        """Number of partitions W of each split."""
        return self.manifest.recipe.partitions

    def rows(self, split: Split, partition: int) -> int:
        """Rows of one partition."""
        start, stop = self.manifest.recipe.bounds(split, partition)
        return stop - start

    def partition(self, split: Split, partition: int) -> Partition:
        """Open one partition without reading it.

        Raises
        ------
        IndexError
            There is no such partition.
        DataError
            A file is missing or is not the array that the manifest names.
        """
        rows = self.rows(split, partition)
        return Partition(
            x=self._map(split, partition, "x", (rows, *self.input_shape)),
            y=self._map(split, partition, "y", (rows,)),
        )

    def _map(self, split: Split, partition: int, array: Array, shape: tuple[int, ...]) -> Any:
        path = self.root / array_file(split, partition, array)
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, ValueError) as error:
            raise self._damaged(path, f"cannot be opened ({error})") from None
        if mapped.dtype != DTYPES[array] or mapped.shape != shape:
            raise self._damaged(
                path,
                f"holds {mapped.dtype} {list(mapped.shape)}, not {DTYPES[array]} {list(shape)}",
            )
        return mapped

    def verify(self, *, quick: bool = False) -> None:
        """Compare every file with the manifest.

        Parameters
        ----------
        quick : compare sizes only; otherwise SHA-256 too.

        Raises
        ------
        DataError
            A file is missing or differs; the message names the first such file.
        """
        for name, record in self.manifest.files.items():
            path = self.root / name
            try:
                size = path.stat().st_size
            except OSError as error:
                raise self._damaged(path, f"cannot be read ({error.strerror})") from None
            if size != record.bytes:
                raise self._damaged(path, f"has {size} bytes, not {record.bytes}")
        if quick:
            return
        threads = min(HASH_THREADS, os.cpu_count() or 1)
        with ThreadPoolExecutor(threads, thread_name_prefix="verify") as pool:
            digests = pool.map(self._digest, self.manifest.files)
            for (name, record), digest in zip(self.manifest.files.items(), digests, strict=True):
                if digest != record.sha256:
                    raise self._damaged(self.root / name, "is damaged (its SHA-256 differs)")

    def _digest(self, name: str) -> str:
        path = self.root / name
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise self._damaged(path, f"cannot be read ({error.strerror})") from None

    def _damaged(self, path: Path, how: str) -> DataError:
        return DataError(f"{path} {how}; delete the folder {self.root} and run again")
