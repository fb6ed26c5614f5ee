"""What this machine cannot hold is refused before anything starts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from experiments.errors import DataError, EnvironmentFault
from experiments.runner import needs
from experiments.runner.drive import drive
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.runtime.local import LocalRuntime
from experiments.specs.load import run_spec
from experiments.warehouse import tree

SPEC = run_spec("breakdown", "ctq", "smoke")


@pytest.fixture(autouse=True)
def nothing_may_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> None:
        pytest.fail("a role was started")

    monkeypatch.setattr(LocalRuntime, "start", start)


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**30))
    with pytest.raises(EnvironmentFault, match=r"GiB of memory for 2 workers.*--workers"):
        execute(planned(SPEC), print)


def test_too_little_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(EnvironmentFault, match=r"GiB of disk.*CEREBRO_DS_HOME"):
        execute(planned(SPEC), print)


def test_more_data_needs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(free=2**30 + 2**25, total=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    unseen = replace(SPEC, seed=987)
    needs.check([unseen])
    larger = replace(unseen, dataset=replace(SPEC.dataset, train_rows=60_000))
    with pytest.raises(EnvironmentFault, match="of disk and"):
        needs.check([larger])
    with pytest.raises(EnvironmentFault, match="with all data sets asked for"):
        needs.check([replace(unseen, seed=900 + each) for each in range(9)])
    needs.check([unseen] * 9)


def test_plpython_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "postgresql"
    (library / "bin").mkdir(parents=True)
    (library / "bin" / "postgres").touch()
    monkeypatch.setattr(tree, "SYSTEM_LIB", library)
    with pytest.raises(EnvironmentFault, match="apt-get install postgresql-plpython3-15"):
        tree.server_tree()


def test_a_damaged_run_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"run": "x"')
    with pytest.raises(DataError, match=r"run\.json is not a run"):
        drive(tmp_path)


def test_a_run_that_another_process_finished_is_left_alone() -> None:
    """Planned before, executed after: its models and journal stay as they are."""
    run = planned(replace(SPEC, seed=4242))
    run.folder.root.mkdir(parents=True)
    run.folder.result.write_text("{}")
    execute(run, print)
    assert [path.name for path in run.folder.root.iterdir()] == ["result.json"]
