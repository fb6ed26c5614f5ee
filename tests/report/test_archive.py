"""Archives: the same bytes for the same crate, nothing outside the folder, damage is named."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.errors import DataError, EnvironmentFault, SpecError
from experiments.paths import Artifacts
from experiments.report import archive, crate_check

Disk = Callable[[Path, str], None]

SUFFIXES = pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])


@SUFFIXES
def test_what_is_packed_comes_out_again(artifacts: Artifacts, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"results{suffix}"
    count = archive.pack(artifacts.root, target, overwrite=False)
    inside = tmp_path / "inside"
    inside.mkdir()
    assert archive.unpack(target, inside) == count
    assert list(crate_check.damaged(inside)) == []
    names = {path.relative_to(inside).as_posix() for path in inside.rglob("*") if path.is_file()}
    assert names == {crate_check.METADATA, *crate_check.described_files(inside)}


@SUFFIXES
def test_the_same_crate_is_the_same_bytes(
    artifacts: Artifacts, tmp_path: Path, suffix: str
) -> None:
    packed: list[bytes] = []
    for name in ("one", "other"):
        for path in artifacts.root.rglob("*"):
            if not path.is_symlink():
                os.utime(path, (len(packed), len(packed)))
        archive.pack(artifacts.root, tmp_path / f"{name}{suffix}", overwrite=False)
        packed.append((tmp_path / f"{name}{suffix}").read_bytes())
    assert packed[0] == packed[1]


def test_an_archive_is_not_overwritten_unasked(artifacts: Artifacts, tmp_path: Path) -> None:
    target = tmp_path / "results.zip"
    target.write_text("mine")
    with pytest.raises(SpecError, match="--yes overwrites it"):
        archive.pack(artifacts.root, target, overwrite=False)
    assert target.read_text() == "mine"
    archive.pack(artifacts.root, target, overwrite=True)
    assert zipfile.is_zipfile(target)
    assert sorted(tmp_path.glob(".results*")) == []


@pytest.mark.parametrize("name", ["results.rar", "results", "no-such-folder/results.zip"])
def test_names_that_cannot_be_are_refused(artifacts: Artifacts, tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="--archive"):
        archive.pack(artifacts.root, tmp_path / name, overwrite=False)


def test_a_full_disk_is_told_before_anything_is_written(
    artifacts: Artifacts, tmp_path: Path, disk: Disk
) -> None:
    small = tmp_path / "small"
    disk(small, "1m")
    with pytest.raises(EnvironmentFault, match="MiB free"):
        archive.pack(artifacts.root, small / "results.zip", overwrite=False)
    assert list(small.iterdir()) == []


def tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 1) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size if kind == tarfile.REGTYPE else 0
    info.linkname = "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([member("../out")], "leads out"),
        ([member("/tmp/out")], "leads out"),
        ([member("a/../../out")], "leads out"),
        ([member("a\\..\\out")], "leads out"),
        ([member("link", tarfile.SYMTYPE)], "not a plain file"),
        ([member("link", tarfile.LNKTYPE)], "not a plain file"),
        ([member("pipe", tarfile.FIFOTYPE)], "not a plain file"),
        ([member("device", tarfile.CHRTYPE)], "not a plain file"),
        ([member("a"), member("a")], "comes twice"),
        ([member("a"), member("a/b")], "a file and a folder"),
        ([member("a")], "holds no ro-crate-metadata.json"),
    ],
)
def test_nothing_gets_out_of_an_archive(
    tmp_path: Path, members: list[tarfile.TarInfo], words: str
) -> None:
    path = tar_of(tmp_path / "evil.tar.gz", *members)
    inside = tmp_path / "here" / "inside"
    inside.mkdir(parents=True)
    with pytest.raises(DataError, match=words):
        archive.unpack(path, inside)
    outside = {each for each in tmp_path.rglob("*") if not each.is_relative_to(inside)}
    assert outside == {path, inside.parent}


def test_links_and_climbing_names_in_a_zip_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for info, words in ((link, "not a plain file"), (zipfile.ZipInfo("../out"), "leads out")):
        path = tmp_path / "evil.zip"
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr(info, "/etc/passwd")
        inside = tmp_path / words
        inside.mkdir()
        with pytest.raises(DataError, match=words):
            archive.unpack(path, inside)
        assert list(inside.iterdir()) == []


def test_a_bomb_is_larger_than_the_disk(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(2**22))
    small = tmp_path / "small"
    disk(small, "1m")
    with pytest.raises(DataError, match="larger than the disk"):
        archive.unpack(path, small)
    assert list(small.iterdir()) == []


@SUFFIXES
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_damage_is_told(artifacts: Artifacts, tmp_path: Path, suffix: str, kept: float) -> None:
    target = tmp_path / f"results{suffix}"
    archive.pack(artifacts.root, target, overwrite=False)
    content = target.read_bytes()
    target.write_bytes(content[: round(len(content) * kept)])
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises((archive.Damaged, DataError)) as told:
        archive.unpack(target, inside)
    assert str(target) in str(told.value)


def test_a_changed_byte_is_told_with_its_file(artifacts: Artifacts, tmp_path: Path) -> None:
    target = tmp_path / "results.zip"
    archive.pack(artifacts.root, target, overwrite=False)
    with zipfile.ZipFile(target) as packed:
        info = packed.getinfo("provenance/LICENSE")
    content = bytearray(target.read_bytes())
    content[info.header_offset + len(info.filename) + 60] ^= 0xFF
    target.write_bytes(content)
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(archive.Damaged, match="provenance/LICENSE"):
        archive.unpack(target, inside)


def test_what_is_no_archive_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        archive.unpack(tmp_path / "none.zip", tmp_path)
    text = tmp_path / "text.tar.gz"
    text.write_text("hello")
    with pytest.raises(DataError, match=r"neither a \.tar\.gz nor a \.zip"):
        archive.unpack(text, tmp_path)
    packed = tmp_path / "text.gz"
    packed.write_bytes(gzip.compress(b"hello" * 300))
    with pytest.raises(archive.Damaged):
        archive.unpack(packed, tmp_path)
