"""Which Java Spark is given, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import java
from experiments.cli import machine
from experiments.errors import EnvironmentFault


def make(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").touch(mode=0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="Debian"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "jvm").mkdir()
    monkeypatch.setattr(java, "INSTALLED", tmp_path / "jvm")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path / "jvm"


@pytest.mark.parametrize(
    ("text", "major"), [("17.0.15", 17), ("21", 21), ("1.8.0_442", 8), ("25.0.1", 25)]
)
def test_the_major_version_is_read(tmp_path: Path, text: str, major: int) -> None:
    assert java.version(make(tmp_path / "some", text)) == major


def test_the_one_that_fits_is_taken(nothing_installed: Path) -> None:
    make(nothing_installed / "a-11", "11.0.2")
    fits = make(nothing_installed / "b-21", "21.0.2")
    assert java.home() == fits
    assert not java.lacking()


def test_a_link_to_java_is_followed(tmp_path: Path) -> None:
    real = make(tmp_path / "real", "17.0.1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(real / "bin" / "java")
    assert java.home() == real
    assert java.version(tmp_path) == 17


def test_java_home_is_respected(
    tmp_path: Path, nothing_installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(nothing_installed / "17", "17.0.1")
    chosen = make(tmp_path / "chosen", "21.0.1")
    monkeypatch.setenv("JAVA_HOME", str(chosen))
    assert java.home() == chosen


def test_a_wrong_java_home_is_named_though_another_would_fit(
    tmp_path: Path, nothing_installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(nothing_installed / "17", "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(make(tmp_path / "old", "11.0.1")))
    with pytest.raises(EnvironmentFault, match=r"JAVA_HOME=.*/old is Java 11: set it to"):
        java.home()
    assert not java.lacking()


def test_none_names_the_command_that_installs_one(nothing_installed: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"there is none: .* openjdk-17-jre-headless$"):
        java.home()
    make(nothing_installed / "25", "25.0.1")
    with pytest.raises(EnvironmentFault, match=r"there is only Java 25 in .*openjdk-17"):
        java.home()


@pytest.mark.parametrize(("user", "wanted"), [(0, [java.PACKAGE]), (1000, [])])
def test_only_root_installs_java_unasked(
    user: int, wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setattr(machine, "missing_packages", list)
    assert machine.wanted_packages() == wanted
