"""ImageNet 2012 as it is downloaded: a tar of class tars, a flat tar, and the development kit."""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from experiments.errors import DataError

TRAIN, VALID = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"

_META, _TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"
_CLASS_TAR = re.compile(r"(?P<wnid>n\d{8})\.tar")
_VALID_IMAGE = re.compile(r"ILSVRC2012_val_(?P<number>\d{8})\.JPEG")


class Member(NamedTuple):
    """A file in a tar.

    Attributes
    ----------
    offset, size : of its content, in the outermost file.
    """

    name: str
    offset: int
    size: int


class Image(NamedTuple):
    """An image file in an archive."""

    member: Member
    label: int


@dataclass(frozen=True)
class Devkit:
    """The development kit.

    Attributes
    ----------
    wnids : identifiers of the synsets that are classes, sorted: a class's number is its place.
    words : of each, in the same order.
    truth : label of every validation image, in the order of their numbers.
    """

    wnids: tuple[str, ...]
    words: tuple[str, ...]
    truth: tuple[int, ...]

    @classmethod
    def read(cls, path: Path) -> Devkit:
        """Open the archive.

        Raises
        ------
        DataError
            It is damaged, or lacks the list of synsets or the labels.
        """
        try:
            with tarfile.open(path, "r:gz") as archive:
                contents = {wanted: _content(archive, wanted, path) for wanted in (_META, _TRUTH)}
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} cannot be read: {error}") from None
        ids, wnids, words = _synsets(contents[_META], path)
        order = np.argsort(wnids)
        places = {ids[place]: label for label, place in enumerate(order.tolist())}
        truth = []
        for number, line in enumerate(contents[_TRUTH].decode("ascii", "replace").split(), 1):
            if not line.isdigit() or int(line) not in places:
                raise DataError(
                    f"{path}, {_TRUTH}, line {number}: {line} is no class of 1..{len(ids)}"
                )
            truth.append(places[int(line)])
        return cls(
            tuple(wnids[place] for place in order),
            tuple(words[place] for place in order),
            tuple(truth),
        )


def _content(archive: tarfile.TarFile, wanted: str, path: Path) -> bytes:
    for member in archive.getmembers():
        if member.name.endswith(wanted) and (file := archive.extractfile(member)):
            return file.read()
    raise DataError(f"{path} has no {wanted}")


def _synsets(content: bytes, path: Path) -> tuple[list[int], list[str], list[str]]:
    """Numbers, identifiers and words of the synsets without children: the classes."""
    from scipy.io import loadmat

    try:
        table = loadmat(io.BytesIO(content), squeeze_me=True)["synsets"]
        leaves = [row for row in np.atleast_1d(table) if int(row["num_children"]) == 0]
        return (
            [int(row["ILSVRC2012_ID"]) for row in leaves],
            [str(row["WNID"]) for row in leaves],
            [str(row["words"]) for row in leaves],
        )
    except (ValueError, KeyError, TypeError, IndexError, NotImplementedError) as error:
        raise DataError(f"{path}, {_META} is not a list of synsets: {error}") from None


class _Window(io.RawIOBase):
    """A stretch of a file as a file of its own."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file, self._offset, self._size, self._at = file, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        self._file.seek(self._offset + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data


def members(file: BinaryIO, path: Path, within: Member | None = None) -> Iterator[Member]:
    """The files of a tar, or of a tar within it, in their order; contents are not read.

    Raises
    ------
    DataError
        It is damaged or cut short; names the file and the offset.
    """
    size = path.stat().st_size
    start, length = (0, size) if within is None else (within.offset, within.size)
    place = str(path) if within is None else f"{path}, {within.name}"
    at = end = start
    try:
        with tarfile.open(fileobj=_Window(file, start, length), mode="r:") as archive:
            for info in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # one is needed, not all
                at = start + info.offset_data
                if at + info.size > start + length:
                    raise DataError(
                        f"{place} is cut short: {info.name} at offset {at} has {info.size} bytes, "
                        f"{max(0, start + length - at)} are there"
                    )
                end = at + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if info.isfile():
                    yield Member(info.name, at, info.size)
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{place} is damaged after offset {at}: {error}") from None
    file.seek(end)
    mark = file.read(tarfile.BLOCKSIZE) if end < start + length else b""
    if mark != bytes(tarfile.BLOCKSIZE):
        raise DataError(f"{place} is cut short or damaged at offset {end}: a tar ends with zeros")


def class_tars(file: BinaryIO, path: Path, devkit: Devkit) -> list[tuple[Member, int]]:
    """The class tars of the training archive and their labels.

    Raises
    ------
    DataError
        A member is no class of the kit, or a class has none or several.
    """
    places = {wnid: label for label, wnid in enumerate(devkit.wnids)}
    found: dict[str, tuple[Member, int]] = {}
    for member in members(file, path):
        match = _CLASS_TAR.fullmatch(Path(member.name).name)
        if match is None or match["wnid"] not in places:
            raise DataError(
                f"{path}: {member.name} at offset {member.offset} is not one of the "
                f"{len(places)} classes of {DEVKIT}"
            )
        if match["wnid"] in found:
            raise DataError(f"{path}: {member.name} comes twice, again at offset {member.offset}")
        found[match["wnid"]] = member, places[match["wnid"]]
    if len(found) != len(places):
        absent = sorted(places.keys() - found.keys())
        raise DataError(
            f"{path} has {len(found)} classes, {DEVKIT} {len(places)}: {absent[0]} is missing"
        )
    return list(found.values())


def valid_images(file: BinaryIO, path: Path, devkit: Devkit) -> Iterator[Image]:
    """The validation images and their labels.

    Raises
    ------
    DataError
        A member has no label in the kit, or there are fewer of them than labels.
    """
    seen = np.zeros(len(devkit.truth), np.bool_)
    for member in members(file, path):
        match = _VALID_IMAGE.fullmatch(Path(member.name).name)
        number = int(match["number"]) if match else 0
        if not 1 <= number <= len(seen):
            raise DataError(
                f"{path}: {member.name} at offset {member.offset} has none of the "
                f"{len(seen)} labels of {DEVKIT}"
            )
        if seen[number - 1]:
            raise DataError(f"{path}: {member.name} comes twice, again at offset {member.offset}")
        seen[number - 1] = True
        yield Image(member, devkit.truth[number - 1])
    if not seen.all():
        raise DataError(
            f"{path} has {seen.sum()} images, {DEVKIT} {len(seen)} labels: number "
            f"{seen.argmin() + 1} is missing"
        )
