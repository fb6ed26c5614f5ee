"""What users do wrong, through the front door: one line that says what to change, exit code 2.

Every test starts ``python -m experiments`` as ``reproduce.py`` does. Nothing is trained: what is
wrong is found before anything starts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import datasets
from experiments.paths import CHECKOUT, State, state
from experiments.runner.plan import planned
from experiments.runtime.local import LocalRuntime
from experiments.specs.load import approaches_of, run_spec
from tests.analysis.synthetic_runs import STANDALONE_S, typical, write_result, write_run
from tests.conftest import Disk
from tests.door.tiny_door import as_nobody

SMOKE = ("--figure", "9b", "--scale", "smoke")
SPEC = run_spec("breakdown", "ctq", "smoke")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "experiments", *arguments]


def environment(**settings: object) -> dict[str, str]:
    own = {"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **own, **{name: str(value) for name, value in settings.items()}}


def start(*words: str, cwd: Path = CHECKOUT, **settings: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a whole command."""
    done = subprocess.run(
        words, cwd=cwd, env=environment(**settings), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def refused(*words: str, cwd: Path = CHECKOUT, **settings: object) -> str:
    """The one line with which a command is refused."""
    code, out, said = start(*words, cwd=cwd, **settings)
    assert code == 2, said
    assert out == ""
    assert said.startswith("error: ")
    assert said.count("\n") == 1, said
    return said


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user can enter."""
    with tempfile.TemporaryDirectory(prefix="bad-input-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def public(place: Path) -> Path:
    """A checkout that every user can read."""
    for part in ("experiments", "images", "papermill_notebooks", "artifacts/reference"):
        shutil.copytree(CHECKOUT / part, place / "clone" / part)
    return place / "clone"


def test_a_disk_that_is_too_small_is_found_before_anything_starts(place: Path, disk: Disk) -> None:
    disk(place / "small", "200m")
    said = refused(*command(*SMOKE), CEREBRO_DS_HOME=place / "small")
    assert "GiB of disk" in said
    assert f"{place}/small has 0.2 GiB free" in said
    assert "CEREBRO_DS_HOME" in said
    assert not list((place / "small").rglob("*-w2-*"))


def test_too_little_memory_is_found_before_anything_starts(place: Path) -> None:
    """The kernel's own answer is replaced, in a mount namespace of the command's."""
    meminfo = place / "meminfo"
    real = Path("/proc/meminfo").read_text(encoding="ascii")
    meminfo.write_text(re.sub(r"(MemAvailable: +)\d+", r"\g<1>1000000", real), encoding="ascii")
    bind = 'mount --bind "$0" /proc/meminfo && exec "$@"'
    inside = ("unshare", "--mount", "sh", "-c", bind, str(meminfo))
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount here")
    said = refused(*inside, *command(*SMOKE))
    assert "GiB of memory for 2 workers and 1.0 GiB are free" in said
    assert "--workers" in said


def test_a_read_only_artifacts_folder_is_named(place: Path, disk: Disk) -> None:
    folder = place / "artifacts"
    disk(folder, "1m")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    said = refused(*command(*SMOKE), CEREBRO_DS_ARTIFACTS=folder)
    assert f"{folder}: cannot be written" in said
    assert "CEREBRO_DS_ARTIFACTS" in said


@pytest.mark.parametrize("variable", ["CEREBRO_DS_HOME", "CEREBRO_DS_ARTIFACTS"])
def test_a_root_that_is_no_folder_is_named(variable: str, place: Path) -> None:
    (place / "file").touch()
    for wrong in (place / "file", place / "file" / "below", Path("/proc/nowhere")):
        said = refused(*command(*SMOKE), **{variable: wrong})
        assert f"{wrong}: cannot be made" in said
        assert f"set {variable} to" in said


@pytest.mark.parametrize("variable", ["CEREBRO_DS_HOME", "CEREBRO_DS_ARTIFACTS"])
def test_a_root_of_another_user_is_named(variable: str, place: Path, public: Path) -> None:
    for name in ("HOME", "ARTIFACTS"):
        (place / name).mkdir()
        (place / name).chmod(0o777)
    (place / variable.removeprefix("CEREBRO_DS_")).chmod(0o555)
    roots = {f"CEREBRO_DS_{name}": place / name for name in ("HOME", "ARTIFACTS")}
    said = refused(*as_nobody(command(*SMOKE)), cwd=public, PYTHONPATH=public, **roots)
    assert f"{roots[variable]}: cannot be written by this user" in said
    assert f"set {variable} to a folder of yours" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="needs files of two users")
def test_a_run_of_another_user_is_named(place: Path, public: Path) -> None:
    for name in ("home", "artifacts", "artifacts/runs", "home/datasets", "home/clusters"):
        (place / name).mkdir()
        (place / name).chmod(0o777)
    _, planned_runs, _ = start(*command("--plan", *SMOKE, "--json"))
    run = json.loads(planned_runs)[0]["run"]
    (place / "home" / "clusters" / run).mkdir()
    said = refused(
        *as_nobody(command(*SMOKE)),
        cwd=public,
        PYTHONPATH=public,
        CEREBRO_DS_HOME=place / "home",
        CEREBRO_DS_ARTIFACTS=place / "artifacts",
    )
    assert f"{place}/home/clusters/{run}: cannot be written by this user" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")
def test_a_state_folder_that_the_servers_user_cannot_enter_is_named(place: Path) -> None:
    (place / "private").mkdir(mode=0o700)
    said = refused(*command(*SMOKE), CEREBRO_DS_HOME=place / "private" / "state")
    assert f"chmod o+x {place}/private" in said


def test_a_damaged_data_set_is_found_before_anything_starts(place: Path) -> None:
    """All runs of the figure read the same one; with it gone, all is as if it never was."""
    prepared = datasets.prepare(SPEC.dataset, SPEC.workers, SPEC.seed, State(place).datasets)
    (prepared.root / "manifest.json").write_text("{")
    said = refused(*command(*SMOKE), CEREBRO_DS_HOME=place)
    assert f"{prepared.root}/manifest.json is not the manifest of a data set" in said
    assert f"delete the folder {prepared.root} and run again" in said
    assert not list(State(place).clusters.iterdir())
    shutil.rmtree(prepared.root)
    datasets.check(SPEC.dataset, SPEC.workers, SPEC.seed, State(place).datasets)


def test_a_second_command_for_the_same_run_leaves_the_first_alone() -> None:
    first = planned(run_spec("breakdown", approaches_of("breakdown")[0].id, "smoke", seed=31))
    with LocalRuntime(state().clusters / first.name) as runtime:
        runtime.claim()
        code, out, said = start(*command(*SMOKE, "--seed", "31"))
        assert (code, out) == (2, "")
        assert f"is in use by process {os.getpid()}: wait until" in said.splitlines()[-1]
        assert "Traceback" not in said
        runtime.stop(purge=True)
    assert not first.folder.root.exists()


def test_a_notebook_that_fails_names_its_cell_and_keeps_the_runs(place: Path) -> None:
    """A run of another kind of evidence is among them, which the figure's own cell refuses."""
    artifacts = place / "artifacts"
    for row in approaches_of("breakdown"):
        run = planned(run_spec("breakdown", row.id, "smoke"))
        folder = artifacts / "runs" / run.name
        write_run(folder, run.spec, typical(run.spec, STANDALONE_S))
    write_result(folder, run.spec, evidence="emulated")
    before = {path: path.stat().st_mtime_ns for path in (artifacts / "runs").rglob("*")}
    code, out, said = start(*command(*SMOKE, "--quiet"), CEREBRO_DS_ARTIFACTS=artifacts)
    assert (code, out) == (1, f"{artifacts}/report/index.html\n"), said
    told = said.removesuffix("\n")
    assert "\n" not in told, said
    assert re.match(r"failed: figure 9b: \S+/9b\.ipynb: cell \d failed with SpecError: ", told)
    assert "'measured' and 'emulated'" in told
    assert {path: path.stat().st_mtime_ns for path in (artifacts / "runs").rglob("*")} == before
    write_result(folder, run.spec)
    code, out, said = start(*command(*SMOKE, "--json"), CEREBRO_DS_ARTIFACTS=artifacts)
    assert (code, said) == (0, "")
    assert len(json.loads(out)["figures"][0]) == 3


def test_roots_may_be_relative_and_have_any_name(place: Path) -> None:
    here = place / "another folder, né"
    here.mkdir()
    names = {"CEREBRO_DS_HOME": "stäte of mine", "CEREBRO_DS_ARTIFACTS": "what is léft"}
    code, out, said = start(*command("--plan", *SMOKE), cwd=here, **names)
    assert (code, said) == (0, "")
    count = len(approaches_of("breakdown", "smoke"))
    assert f"{count} of {count} runs to do" in out
    (here / "stäte of mine").touch()
    assert f"{here}/stäte of mine: cannot be made" in refused(*command(*SMOKE), cwd=here, **names)


@pytest.mark.parametrize("arguments", [("--list",), ("--plan", *SMOKE), ("--help",)])
@pytest.mark.parametrize("reader", ["| true", "| head -n 1", ">&-"])
def test_output_that_nobody_reads_is_no_error(arguments: tuple[str, ...], reader: str) -> None:
    code, _, said = start("sh", "-c", f'"$@" {reader}', "sh", *command(*arguments))
    assert (code, said) == (0, "")


@pytest.mark.parametrize("what", ["--plan", "--list"])
def test_json_is_alone_on_stdout(what: str) -> None:
    code, out, said = start(*command(what, *SMOKE, "--json"))
    assert (code, said) == (0, "")
    assert json.loads(out)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((*SMOKE, "--speedup", "10"), "only emulated runs wait for a clock; name a device with"),
        ((*SMOKE, "--device", "p10"), "unknown device 'p10': did you mean 'p100'?"),
        ((*SMOKE, "--device", "p100", "--speedup", "1e6"), "cannot be held"),
        (("--figure", "9c", "--scale", "smoke", "--device", "t4"), "'t4' lacks confA"),
        (("--figure", "9a", "--scale", "smoke", "--device", "p100"), "they learn nothing"),
        ((*SMOKE, "--pilot", "--device", "p100"), "--pilot measures this machine"),
    ],
)
def test_an_emulation_that_cannot_be_is_refused(words: tuple[str, ...], reason: str) -> None:
    assert reason in refused(*command(*words))


def test_a_plan_on_an_emulated_device_tells_what_is_left_out() -> None:
    words = ("--plan", "--json", *SMOKE, "--device", "p100", "--speedup", "10")
    code, out, _ = start(*command(*words))
    assert code == 0
    rows = json.loads(out)
    assert all("p100-x10" in row["run"] for row in rows if row["state"] != "left out")
    (absent,) = (row for row in rows if row["state"] == "left out")
    assert absent["run"] == "breakdown-cerebro-spark-smoke"
    assert "cannot wait for an emulated device" in absent["reason"]
