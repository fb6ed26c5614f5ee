"""--archive and --check-archive, as they are given."""

from __future__ import annotations

import zipfile
from argparse import Namespace
from functools import partial
from pathlib import Path

import pytest

from experiments.cli import crating, reproduce
from experiments.cli.main import main
from experiments.errors import ReproduceError
from experiments.paths import Artifacts
from experiments.report import archive, crate, rebuild
from tests.report.artifacts import whole


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifacts, Path]:
    return whole(tmp_path_factory.mktemp("made"))


@pytest.fixture
def target(made: tuple[Artifacts, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an archive is to go; the figure's notebook is found."""
    artifacts, notebooks_at = made
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(artifacts.root))
    again = partial(rebuild.rebuild, notebooks_at=notebooks_at)
    monkeypatch.setattr("experiments.report.rebuild.rebuild", again)
    return tmp_path / "results.zip"


def test_an_archive_is_made_and_found_good(
    target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--archive", str(target)]) == 0
    assert capsys.readouterr().out.startswith(f"{target}: ")
    assert main(["--archive", str(target)]) == 2
    assert "--yes overwrites it" in capsys.readouterr().err
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(target.parent / "elsewhere"))
    assert main(["--check-archive", str(target)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("files     good")
    assert said[1:] == [
        "crate     good      RO-Crate 1.1",
        "figure    tiny (smoke): the same numbers",
        "figures   1 of 1 have the same numbers",
    ]
    assert not (target.parent / "elsewhere").exists()


def repacked(target: Path, name: str, content: str) -> None:
    """The archive with another content of one file, whole as an archive."""
    with zipfile.ZipFile(target) as packed:
        members = {info.filename: packed.read(info) for info in packed.infolist()}
    with zipfile.ZipFile(target, "w") as packed:
        for each, data in {**members, name: content.encode()}.items():
            packed.writestr(each, data)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("runs/ctq-1/journal.jsonl", "runs/ctq-1/journal.jsonl: 1 bytes, not"),
        ("added.txt", "added.txt: the crate does not describe it"),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_drawn(
    target: Path, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--archive", str(target)])
    repacked(target, name, "x")
    assert main(["--check-archive", str(target)]) == 1
    out = capsys.readouterr().out
    assert f"files     damaged   {words}" in out
    assert "figures   not drawn again" in out


def test_numbers_that_differ_and_another_revision_are_told(
    target: Path, made: tuple[Artifacts, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    table = made[0].figures("smoke") / "tiny.csv"
    before = table.read_text()
    try:
        table.write_text(before.replace("ctq", "CTQ"))
        crate.write(crate.Software("0.0.9", "feedfeedfeed"), made[0])
        archive.pack(made[0].root, target, overwrite=False)
    finally:
        table.write_text(before)
    assert main(["--check-archive", str(target)]) == 1
    out = capsys.readouterr().out
    assert "revision  the archive was made by feedfeedfeed, this bundle is" in out
    assert "figure    tiny (smoke): tiny.csv differs in line" in out
    assert "figures   0 of 1 have the same numbers" in out


def test_models_are_packed_when_asked_for(target: Path) -> None:
    assert main(["--archive", str(target), "--with-models"]) == 0
    with zipfile.ZipFile(target) as packed:
        assert "runs/ctq-1/models/0.state" in packed.namelist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--check-archive", "no-such.zip"], "no-such.zip: there is no such file"),
        (["--archive", "results.rar"], "its name ends with .tar.gz"),
        (["--with-models", "--list"], "--with-models goes with --archive FILE"),
    ],
)
def test_the_users_errors_are_one_line(
    target: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_there_is_nothing_to_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    assert main(["--archive", str(tmp_path / "results.zip")]) == 2
    assert "no finished run" in capsys.readouterr().err


@pytest.mark.parametrize("everything", [True, False])
def test_all_ends_with_a_valid_crate(
    target: Path, everything: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    Artifacts().crate.unlink(missing_ok=True)
    options = Namespace(
        json=False, quiet=False, scale="smoke", all=everything, runtime="local", serve=None
    )
    assert reproduce.reproduce([], [], options) == 0
    assert Artifacts().crate.exists() == everything
    out = capsys.readouterr().out
    assert ("RO-Crate 1.1 of" in out) == everything
    assert ("53 claims: " in out) == everything


def test_an_invalid_crate_is_a_failure(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crate, "VERSION", "https://example.org/no-such-version")
    with pytest.raises(ReproduceError, match="not a valid RO-Crate"):
        crating.write_crate()
