"""A tiny synthetic set for tests and smoke checks: one bell-shaped blob per class.

Every value is computed from its row number by integer arithmetic, so any row can be had at any
time, no file is read, and every machine gives the same bytes. It never stands in for real data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.shuffle import key64, mix64
from experiments.datasets.source import Json, RowReader, SourceInfo, Split

_LANE = np.uint64(0xFFFF)


@dataclass(frozen=True)
class Blobs:
    """Class centres in ``[-1, 1)``, noise of mean 0 and the given spread around them.

    The noise is the sum of four uniform 16-bit numbers: near enough to a Gaussian, and exact.

    Attributes
    ----------
    shape : shape of one row's features.
    classes : number of classes.
    train_rows, valid_rows : rows of the two splits.
    seed : of centres, labels and noise (not of the shuffle).
    spread : standard deviation of the noise.
    """

    shape: tuple[int, ...] = (8, 8, 1)
    classes: int = 4
    train_rows: int = 8192
    valid_rows: int = 2048
    seed: int = 0
    spread: float = 1.0

    @property
    def info(self) -> SourceInfo:
        return SourceInfo(
            name="blobs",
            description="synthetic class blobs, for tests only",
            licence="Apache-2.0 (generated)",
            input_shape=self.shape,
            class_names=tuple(f"blob {number}" for number in range(self.classes)),
        )

    def rows(self, split: Split) -> int:
        return self.train_rows if split == "train" else self.valid_rows

    def identity(self) -> Mapping[str, Json]:
        return {
            "train_rows": self.train_rows,
            "valid_rows": self.valid_rows,
            "seed": self.seed,
            "spread": self.spread,
        }

    def scratch_bytes(self, split: Split) -> int:
        return 0

    @contextmanager
    def open(self, split: Split, scratch: Path) -> Iterator[RowReader]:
        yield _Generator(self, split)


class _Generator:
    def __init__(self, blobs: Blobs, split: Split) -> None:
        self._blobs = blobs
        self._features = math.prod(blobs.shape)
        self._columns = np.arange(self._features, dtype=np.uint64)
        self._label_key = key64("blobs", blobs.seed, split, "label")
        self._noise_key = key64("blobs", blobs.seed, split, "noise")
        places = np.arange(blobs.classes * self._features, dtype=np.uint64)
        bits = mix64(places ^ key64("blobs", blobs.seed, "centres")) >> np.uint64(40)
        self._centres = (bits.astype(np.float64) / 2**23 - 1.0).reshape(blobs.classes, -1)

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        numbers = rows.astype(np.uint64)
        labels = (mix64(numbers ^ self._label_key) % np.uint64(self._blobs.classes)).astype(
            np.int16
        )
        places: NDArray[np.uint64] = numbers[:, None] * np.uint64(self._features) + self._columns
        bits = mix64(places ^ self._noise_key)
        lanes = bits & _LANE
        for shift in (16, 32, 48):
            lanes += (bits >> np.uint64(shift)) & _LANE
        noise = (lanes.astype(np.float64) - 2 * 65535) * (self._blobs.spread * math.sqrt(3) / 65536)
        noise += self._centres[labels]
        return noise.astype(np.float32).reshape(-1, *self._blobs.shape), labels
