"""Fashion-MNIST, read from Debian's package ``dataset-fashion-mnist``.

70,000 grey images of 28×28 pixels in 10 classes (Xiao, Rasul and Vollgraf, arXiv:1708.07747). At
small scales it stands in for ImageNet. The package holds gzipped idx files, which can only be
read from front to back: a split is first unpacked into records of one label byte and 784 pixel
bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.source import Json, RowReader, SourceInfo, Split
from experiments.errors import DataError

PACKAGE = "dataset-fashion-mnist"
FOLDER = Path("/usr/share/datasets/fashion-mnist")

SIDE = 28
PIXELS = SIDE * SIDE
RECORD = 1 + PIXELS
ROWS: Mapping[Split, int] = {"train": 60_000, "valid": 10_000}
PREFIX: Mapping[Split, str] = {"train": "train", "valid": "t10k"}
SHA256: Mapping[str, str] = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""Of the unpacked files, since packers differ (Debian strips names and times from gzip headers)."""

_UNPACK_ROWS = 2048
_UNSIGNED_BYTES = 8


@dataclass(frozen=True)
class FashionMnist:
    """Fashion-MNIST as a :class:`~experiments.datasets.source.Source`.

    Attributes
    ----------
    folder : where the four ``.gz`` files lie.
    """

    folder: Path = FOLDER

    @property
    def info(self) -> SourceInfo:
        return SourceInfo(
            name="fashion-mnist",
            description=f"Fashion-MNIST, 28x28 grey images / 255, from Debian's {PACKAGE}",
            licence="MIT (Expat), (c) 2017 Zalando SE",
            input_shape=(SIDE, SIDE, 1),
            class_names=(
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
        )

    def rows(self, split: Split) -> int:
        return ROWS[split]

    def identity(self) -> Mapping[str, Json]:
        return {"files": dict(SHA256)}

    def scratch_bytes(self, split: Split) -> int:
        return ROWS[split] * RECORD

    @contextmanager
    def open(self, split: Split, scratch: Path) -> Iterator[RowReader]:
        records = scratch / "records"
        with records.open("wb") as out:
            self._unpack(split, out)
        with records.open("rb", buffering=0) as file:
            yield _Records(file.fileno())

    def _unpack(self, split: Split, out: BinaryIO) -> None:
        rows = ROWS[split]
        images = _Idx(self.folder / f"{PREFIX[split]}-images-idx3-ubyte.gz", (rows, SIDE, SIDE))
        labels = _Idx(self.folder / f"{PREFIX[split]}-labels-idx1-ubyte.gz", (rows,))
        with images, labels:
            for start in range(0, rows, _UNPACK_ROWS):
                count = min(_UNPACK_ROWS, rows - start)
                block = np.empty((count, RECORD), np.uint8)
                block[:, 0] = labels.read(count)
                block[:, 1:] = images.read(count * PIXELS).reshape(count, PIXELS)
                out.write(block.data)
            for file in (images, labels):
                file.finish()


class _Records:
    """Rows out of the unpacked record file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        records = np.empty((len(rows), RECORD), np.uint8)
        for target, row in zip(records, rows.tolist(), strict=True):
            if os.preadv(self._descriptor, [target.data], row * RECORD) != RECORD:
                raise IndexError(f"no row {row}")
        pixels = records[:, 1:].astype(np.float32).reshape(-1, SIDE, SIDE, 1)
        pixels /= np.float32(255)
        return pixels, records[:, 0].astype(np.int16)


class _Idx:
    """One gzipped idx file of unsigned bytes, read from front to back; errors name the file."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path = path
        self.shape = shape
        self._digest = hashlib.sha256()

    def __enter__(self) -> _Idx:
        try:
            self._raw = self.path.open("rb")
        except FileNotFoundError:
            raise DataError(
                f"{self.path} is missing: it belongs to the Debian package {PACKAGE}; "
                f"install it with: apt-get install {PACKAGE}"
            ) from None
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}") from None
        self._gzip = gzip.GzipFile(fileobj=self._raw)
        try:
            self._header()
        except DataError:
            self._raw.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._gzip.close()
        self._raw.close()

    def _damaged(self, how: str) -> DataError:
        return DataError(f"{self.path} {how}; mend it with: apt-get install --reinstall {PACKAGE}")

    def _unzip(self, count: int) -> bytes:
        try:
            return self._gzip.read(count)
        except EOFError:
            raise self._damaged("is truncated") from None
        except (OSError, zlib.error) as error:
            raise self._damaged(f"is not an intact gzip file ({error})") from None

    def _bytes(self, count: int) -> bytes:
        data = self._unzip(count)
        if len(data) != count:
            raise self._damaged("is truncated")
        self._digest.update(data)
        return data

    def _header(self) -> None:
        magic = self._bytes(4)
        wanted = bytes((0, 0, _UNSIGNED_BYTES, len(self.shape)))
        if magic != wanted:
            raise self._damaged(f"starts with {magic.hex()}, not with idx's {wanted.hex()}")
        shape = struct.unpack(f">{len(self.shape)}I", self._bytes(4 * len(self.shape)))
        if shape != self.shape:
            raise self._damaged(f"holds an array of shape {shape}, not {self.shape}")

    def read(self, count: int) -> NDArray[np.uint8]:
        return np.frombuffer(self._bytes(count), np.uint8)

    def finish(self) -> None:
        """Read the gzip trailer, and refuse a well-formed file that holds other data."""
        rest = self._unzip(1)
        if rest or self._digest.hexdigest() != SHA256[self.path.stem]:
            raise self._damaged("does not hold the data of Fashion-MNIST (its SHA-256 differs)")
