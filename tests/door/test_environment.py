"""What counts as an environment that stands, and what is refused before one is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import paths
from experiments.cli import environment, machine, setup
from experiments.errors import EnvironmentFault


@pytest.fixture
def home(tmp_path: Path) -> environment.Environment:
    """An environment in appearance: a marker, a Python and one package."""
    made = environment.Environment(tmp_path)
    (made.site / "alpha-1.0.dist-info").mkdir(parents=True)
    made.python.parent.mkdir()
    made.python.symlink_to("/bin/sh")
    made.finish()
    return made


def test_named_by_its_lock_and_whole(home: environment.Environment) -> None:
    assert home.root.name == paths.lock_digest(paths.MAIN_ENVIRONMENT)[:16]
    assert home.stands()
    assert json.loads(home.mark.read_text())["versions"] == {"alpha": "1.0"}


def test_python_may_leave_its_cache_behind(home: environment.Environment) -> None:
    (home.site / "__pycache__").mkdir()
    assert home.stands()


DAMAGE: list[tuple[str, Callable[[environment.Environment], object]]] = [
    ("not made yet", lambda home: home.root.rename(home.scratch)),
    ("half made", lambda home: home.mark.unlink()),
    ("half made", lambda home: home.mark.write_text('{"lock": ')),
    ("half made", lambda home: home.mark.write_text("7")),
    ("half made", lambda home: home.site.rename(home.scratch)),
    ("its Python is missing", lambda home: home.python.unlink()),
    ("changed after it was made", lambda home: (home.site / "beta.py").touch()),
    ("changed after it was made", lambda home: (home.site / "alpha-1.0.dist-info").rmdir()),
    ("changed after it was made", lambda home: home.mark.write_text("{}")),
]


@pytest.mark.parametrize(("problem", "damage"), DAMAGE)
def test_damage_is_noticed(
    home: environment.Environment,
    problem: str,
    damage: Callable[[environment.Environment], object],
) -> None:
    damage(home)
    assert home.problem() == problem


def refusal(tmp_path: Path) -> str:
    tmp_path.chmod(0o755)
    with pytest.raises(EnvironmentFault) as refused:
        setup.set_up(environment.Environment(tmp_path / "state"), setup.Progress(quiet=True))
    assert not (tmp_path / "state").exists()
    return str(refused.value)


@pytest.fixture
def open_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "closed_to_others", lambda folder: "")


@pytest.mark.usefixtures("open_path")
def test_too_little_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_bytes", lambda folder: 7.9e9)
    assert "7.9 GB are free" in refusal(tmp_path)


@pytest.mark.usefixtures("open_path")
def test_other_platforms_are_sent_to_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "os_release", lambda: {"ID": "fedora", "PRETTY_NAME": "Fedora 40"})
    assert "Fedora 40 is not Debian 12 or its kin: run the bundle in Docker" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "version"), [(b"\0libpython3.12.so.1.0\0", "3.12"), (b"\x7fELF", ""), (None, "")]
)
def test_plpython_tells_its_python(tmp_path: Path, text: bytes | None, version: str) -> None:
    library = tmp_path / "plpython3.so"
    if text is not None:
        library.write_bytes(text)
    assert machine.plpython_version(library) == version


@pytest.mark.usefixtures("open_path")
def test_one_that_cannot_be_made_offline_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    for name, value in {**nowhere, "PIP_FIND_LINKS": "", "PIP_RETRIES": "1"}.items():
        monkeypatch.setenv(name, value)
    home = environment.Environment(tmp_path, paths.PACKAGE_ENVIRONMENT)
    said = "pip could not set up the environment of cerebro-dl: a package index did not answer"
    with pytest.raises(EnvironmentFault, match=said):
        setup.add(home, setup.Progress(quiet=True))
    assert not home.stands()


def test_progress_says_what_and_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    progress = setup.Progress(quiet=False)
    progress.start -= 70.5
    progress.tell("Setting up the environment: 37 of 140 packages fetched")
    progress.tell("too soon for another line")
    said = capsys.readouterr().err
    assert said == "Setting up the environment: 37 of 140 packages fetched, 1 min 10 s\n"
