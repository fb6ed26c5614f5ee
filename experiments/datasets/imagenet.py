"""ImageNet 2012 from the official archives: decoded, scaled to 112 by 112, normalised (§5)."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.image_decoding import Decoded, decode
from experiments.datasets.imagenet_archives import (
    DEVKIT,
    TRAIN,
    VALID,
    Devkit,
    Image,
    class_tars,
    members,
    valid_images,
)
from experiments.datasets.raw import Block, Rejected
from experiments.datasets.source import Json, SourceInfo, Split
from experiments.errors import DataError

SIDE = 112
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue, in 0 to 1, as the release normalised."""

OFFICIAL_SIZES: Mapping[str, int] = {TRAIN: 147_897_477_120, VALID: 6_744_924_160}
OFFICIAL_MD5: Mapping[str, str] = {
    TRAIN: "1d675b47d978889d74fa0da5fadfb00e",
    VALID: "29b22e2961454d5413ddabcf34fc5622",
    DEVKIT: "fa75699e90414af021442c21a62c3abf",
}

IMAGES = 64
"""Of a block; two blocks' files are in memory beside the one that is decoded."""

AHEAD = 2


class _Place(NamedTuple):
    """A stretch of an archive's images: split, member of the training tar, first image in it."""

    split: Split
    member: int
    image: int


_BEGINNING = _Place("train", 0, 0)


class _Batch(NamedTuple):
    """Images that are read and being decoded."""

    split: Split
    images: tuple[Image, ...]
    decoded: list[Future[Decoded]]
    cursor: Json
    position: int


@dataclass(frozen=True)
class ImageNet:
    """The three archives in a folder, as :class:`~experiments.datasets.raw.RawData`.

    Attributes
    ----------
    folder : of the archives.
    side : pixels of a row's edge.
    name : of the data set.
    sizes : that the archives must have; none for those of our own making.
    rejects_allowed : share of images that may be unreadable.
    """

    folder: Path
    side: int = SIDE
    name: str = "imagenet"
    sizes: tuple[tuple[str, int], ...] = tuple(OFFICIAL_SIZES.items())
    rejects_allowed: float = 0.001

    record_dtype = "uint8"

    @property
    def record_shape(self) -> tuple[int, ...]:
        return (self.side, self.side, 3)

    @cached_property
    def _devkit(self) -> Devkit:
        return Devkit.read(self.folder / DEVKIT)

    @property
    def info(self) -> SourceInfo:
        kit = self._devkit
        return SourceInfo(
            name=self.name,
            description=f"ImageNet 2012's format, {self.side}x{self.side} RGB, normalised",
            licence="non-commercial research, by ImageNet's terms of access"
            if self.sizes
            else "Apache-2.0 (generated)",
            input_shape=self.record_shape,
            class_names=tuple(
                f"{wnid} {words.split(',')[0]}"
                for wnid, words in zip(kit.wnids, kit.words, strict=True)
            ),
        )

    def identity(self) -> Mapping[str, Json]:
        files = {name: _size(self.folder / name) for name in (TRAIN, VALID, DEVKIT)}
        return {"files": dict(files), "side": self.side}

    def size(self) -> int:
        return _size(self.folder / TRAIN) + _size(self.folder / VALID)

    def check(self) -> None:
        lines = []
        sizes = dict(self.sizes)
        absent = [name for name in (TRAIN, VALID, DEVKIT) if not (self.folder / name).is_file()]
        if absent and not sizes:
            raise DataError(
                f"{self.folder} lacks {', '.join(absent)}; remove that folder and give the same "
                "command again"
            )
        for name in (TRAIN, VALID, DEVKIT):
            path = self.folder / name
            about = f"{sizes[name]:,} bytes, " if name in sizes else ""
            if not path.is_file():
                lines.append(f"{path} is missing ({about}MD5 {OFFICIAL_MD5[name]})")
            elif name in sizes and _size(path) != sizes[name]:
                lines.append(f"{path} has {_size(path):,} bytes, not {sizes[name]:,}")
        if lines:
            raise DataError(
                "; ".join(lines) + ". ImageNet 2012 comes from https://image-net.org/download.php "
                "after registration, for non-commercial research; --source names the folder of its "
                "archives. Without it smoke and laptop scale run, on Fashion-MNIST"
            )

    def dense(self, x: NDArray[Any]) -> NDArray[np.float32]:
        dense = x.astype(np.float32)
        dense /= np.float32(255)
        dense -= np.array(MEAN, np.float32)
        dense /= np.array(DEVIATION, np.float32)
        return dense

    def blocks(self, cursor: Json) -> Iterator[Block]:
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count() or 1, "decode"))
            waiting: deque[_Batch] = deque()
            stack.callback(lambda: [each.cancel() for b in waiting for each in b.decoded])
            for batch in self._batches(pool, cursor):
                waiting.append(batch)
                if len(waiting) > AHEAD:
                    yield self._block(waiting.popleft())
            while waiting:
                yield self._block(waiting.popleft())

    def _batches(self, pool: ThreadPoolExecutor, cursor: Json) -> Iterator[_Batch]:
        """Images in raw order, IMAGES at a time, submitted to be decoded."""
        start: _Place = _Place._make(cursor) if isinstance(cursor, list) else _BEGINNING
        if start.split == "train":
            path = self.folder / TRAIN
            with path.open("rb") as file:
                tars = class_tars(file, path, self._devkit)
                for number, (tar, label) in islice(enumerate(tars), start.member, None):
                    first = start.image if number == start.member else 0
                    images = islice(
                        (Image(m, label) for m in members(file, path, tar)), first, None
                    )
                    for batch in _batches(images):
                        first += len(batch)
                        yield self._read(file, path, batch, _Place("train", number, first), pool)
            start = _Place("valid", 0, 0)
        path = self.folder / VALID
        with path.open("rb") as file:
            first = start.image
            labelled = valid_images(file, path, self._devkit)
            for batch in _batches(islice(labelled, first, None)):
                first += len(batch)
                yield self._read(file, path, batch, _Place("valid", 0, first), pool)

    def _read(
        self,
        file: Any,
        path: Path,
        images: tuple[Image, ...],
        after: _Place,
        pool: ThreadPoolExecutor,
    ) -> _Batch:
        decoded = []
        for image in images:
            file.seek(image.member.offset)
            data = file.read(image.member.size)
            if len(data) != image.member.size:
                raise DataError(f"{path} is cut short at offset {image.member.offset + len(data)}")
            decoded.append(pool.submit(decode, data, self.side))
        end = images[-1].member.offset + images[-1].member.size
        before = _size(self.folder / TRAIN) if after.split == "valid" else 0
        return _Batch(after.split, images, decoded, list(after), before + end)

    def _block(self, batch: _Batch) -> Block:
        pixels, labels, rejected, noted = [], [], [], Counter[str]()
        file = str(self.folder / (TRAIN if batch.split == "train" else VALID))
        for image, future in zip(batch.images, batch.decoded, strict=True):
            try:
                decoded = future.result()
            except DataError as error:
                where = f"{image.member.name} at offset {image.member.offset}"
                rejected.append(Rejected(file, where, str(error)))
                continue
            pixels.append(decoded.pixels)
            labels.append(image.label)
            if decoded.oddity:
                noted[decoded.oddity] += 1
        x = np.stack(pixels) if pixels else np.empty((0, *self.record_shape), np.uint8)
        rows: dict[Split, Any] = {batch.split: (x, np.array(labels, np.int16))}
        return Block(rows, batch.cursor, batch.position, tuple(rejected), dict(noted))


def _batches(images: Iterator[Image]) -> Iterator[tuple[Image, ...]]:
    while batch := tuple(islice(images, IMAGES)):
        yield batch


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
