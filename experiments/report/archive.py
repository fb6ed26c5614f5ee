"""A crate as one file, and back: the same files make the same archive, and nothing gets out of it.

An archive holds the crate's metadata and the files that it describes, by name, without owners and
times, so whoever packs the same crate gets the same bytes.
"""

from __future__ import annotations

import gzip
import os
import secrets
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from experiments.errors import DataError, EnvironmentFault, SpecError
from experiments.files import unwritable
from experiments.report.crate_check import METADATA, described_files

SUFFIXES = (".tar.gz", ".tgz", ".zip")
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can tell; all members have it."""
MODE = 0o644
SPARE_BYTES = 2**28
MOST_MEMBERS = 1_000_000
_BLOCK = 2**20


class Damaged(Exception):
    """An archive ends too early or cannot be unpacked; the message says where."""


def pack(root: Path, target: Path, *, overwrite: bool) -> int:
    """Write a crate's archive; how many files it has.

    Raises
    ------
    SpecError
        Another suffix, or a file that is there and must not be overwritten.
    EnvironmentFault
        Not enough space, or a folder that cannot be written; an earlier archive stays.
    """
    if not target.name.endswith(SUFFIXES):
        raise SpecError(f"--archive {target}: its name ends with {', '.join(SUFFIXES)}")
    if target.exists() and not overwrite:
        raise SpecError(f"--archive {target}: it is there already; --yes overwrites it")
    if not target.parent.is_dir():
        raise SpecError(f"--archive {target}: there is no folder {target.parent}")
    names = [METADATA, *sorted(described_files(root))]
    needed = sum((root / name).stat().st_size for name in names) + SPARE_BYTES
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise EnvironmentFault(
            f"--archive {target}: needs {needed / 2**20:.0f} MiB at most and {target.parent} has "
            f"{free / 2**20:.0f} MiB free"
        )
    aside = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with aside.open("xb") as file:
            (_zip if target.suffix == ".zip" else _tar)(root, names, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        aside.unlink(missing_ok=True)
    return len(names)


def _tar(root: Path, names: list[str], file: IO[bytes]) -> None:
    with (
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mode = (root / name).stat().st_size, MODE
            with (root / name).open("rb") as content:
                tar.addfile(member, content)


def _zip(root: Path, names: list[str], file: IO[bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in names:
            member = zipfile.ZipInfo(name, EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = (stat.S_IFREG | MODE) << 16
            member.file_size = (root / name).stat().st_size
            with packed.open(member, "w") as out, (root / name).open("rb") as content:
                shutil.copyfileobj(content, out, _BLOCK)


@dataclass(frozen=True)
class _Member:
    """A file of an archive, before it is unpacked."""

    name: str
    size: int
    content: IO[bytes]


def unpack(archive: Path, folder: Path) -> int:
    """Unpack into an empty folder, whatever the archive says; how many files.

    Raises
    ------
    SpecError
        There is no such file.
    DataError
        It is no archive, or not one of a crate: a name that leads out of the folder or comes twice,
        a link, a device, more than the disk holds.
    Damaged
        It is an archive, and cut short or changed.
    """
    if not archive.is_file():
        raise SpecError(f"--check-archive {archive}: there is no such file")
    budget = shutil.disk_usage(folder).free - SPARE_BYTES
    seen: set[str] = set()
    name = "its first file"
    try:
        for member in _members(archive):
            name = member.name
            _check_name(archive, name, seen)
            budget -= member.size
            if budget < 0 or len(seen) > MOST_MEMBERS:
                raise DataError(f"{archive}: unpacked it is larger than the disk of {folder} holds")
            _write(member, folder / name)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Damaged(f"{archive}: damaged at or after {name} ({error})") from None
    if METADATA not in seen:
        raise DataError(f"{archive}: holds no {METADATA}, so it was not made by --archive")
    return len(seen)


def _members(archive: Path) -> Iterator[_Member]:
    with ExitStack() as stack:
        if zipfile.is_zipfile(archive):
            packed = stack.enter_context(zipfile.ZipFile(archive))
            for info in packed.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in {0, stat.S_IFREG} or info.is_dir():
                    raise DataError(f"{archive}: {info.filename} is not a plain file")
                with packed.open(info) as file:
                    yield _Member(info.filename, info.file_size, file)
            return
        tar = stack.enter_context(_opened(archive))
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None or member.issparse():
                raise DataError(f"{archive}: {member.name} is not a plain file")
            yield _Member(member.name, member.size, content)


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    with archive.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            raise DataError(f"{archive}: neither a .tar.gz nor a .zip archive")
    with tarfile.open(archive, "r|gz") as tar:
        yield tar


def _check_name(archive: Path, name: str, seen: set[str]) -> None:
    path = PurePosixPath(name)
    odd = "\\" in name or "\0" in name or str(path) != name
    if odd or path.is_absolute() or ".." in path.parts or name in {"", "."}:
        raise DataError(f"{archive}: the name {name!r} leads out of the archive")
    if name in seen:
        raise DataError(f"{archive}: {name} comes twice")
    seen.add(name)


def _write(member: _Member, path: Path) -> None:
    """No more bytes than the member says, to a file that is not there yet."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as out:
            left = member.size
            while left and (block := member.content.read(min(left, _BLOCK))):
                out.write(block)
                left -= len(block)
        if left or member.content.read(1):
            raise Damaged(f"{member.name}: is not of the size that it should have")
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"{member.name}: is a file and a folder of the same archive") from None
