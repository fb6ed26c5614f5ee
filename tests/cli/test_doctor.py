"""Each check tells what it found and how to mend it, and never raises."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pynvml
import pytest

from experiments import nvidia, paths
from experiments.cli import doctor, machine
from experiments.runtime import gpus
from tests import fake_nvml
from tests.fake_nvml import Card


def named(name: str) -> doctor.Check:
    (found,) = [check for check in doctor.checks() if check.name == name]
    return found


def test_every_subject_is_asked_and_answered() -> None:
    found = doctor.checks()
    assert [check.name for check in found] == [
        "platform",
        "Debian packages",
        "PL/Python",
        "Java",
        "environment",
        "beside it",
        "memory",
        "disk",
        "ports",
        "state folder",
        "data set",
        "Docker",
        "GPU",
        "clock",
    ]
    assert all(check.found and check.state in {"ok", "warn", "fail"} for check in found)
    assert all(check.mend for check in found if check.state != "ok")


def test_a_question_that_fails_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> doctor.Check:
        raise RuntimeError("no such file")

    monkeypatch.setattr(doctor, "_memory", broken)
    memory = named("memory")
    assert memory.state == "warn"
    assert "no such file" in memory.found


LACKS: list[tuple[str, str, str, Callable[[pytest.MonkeyPatch], None]]] = [
    ("disk", "fail", "7.0 GB free", lambda m: m.setattr(machine, "free_bytes", lambda _: 7e9)),
    ("memory", "warn", "8 GB wanted", lambda m: m.setattr(doctor, "MEMORY_BYTES", 10**15)),
    (
        "PL/Python",
        "fail",
        "linked to 3.12",
        lambda m: m.setattr(machine, "plpython_version", lambda: "3.12"),
    ),
    (
        "PL/Python",
        "warn",
        "plpython3.so",
        lambda m: m.setattr(machine, "plpython_version", lambda: ""),
    ),
    ("Java", "warn", "needs Java 17 or 21", lambda m: m.setenv("JAVA_HOME", "/nowhere")),
    (
        "platform",
        "fail",
        "Fedora is not Debian",
        lambda m: m.setattr(machine, "os_release", lambda: {"PRETTY_NAME": "Fedora"}),
    ),
    (
        "data set",
        "warn",
        "0 of 4 files",
        lambda m: m.setattr(machine, "FASHION_MNIST", Path("/nowhere")),
    ),
    ("clock", "fail", "before this checkout", lambda m: m.setattr("time.time", lambda: 1e6)),
]


@pytest.mark.parametrize(("name", "state", "found", "remove"), LACKS)
def test_what_is_lacking_is_told_with_a_way_to_mend_it(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    state: str,
    found: str,
    remove: Callable[[pytest.MonkeyPatch], None],
) -> None:
    remove(monkeypatch)
    check = named(name)
    assert (check.state, found in check.found) == (state, True)
    assert check.mend


@pytest.mark.parametrize(("user", "state"), [(0, "warn"), (1000, "fail")])
def test_missing_packages_name_the_apt_line(
    monkeypatch: pytest.MonkeyPatch, user: int, state: str
) -> None:
    monkeypatch.setattr(machine, "missing_packages", lambda: ["postgresql-15"])
    monkeypatch.setattr("os.geteuid", lambda: user)
    check = named("Debian packages")
    assert check.state == state
    assert check.mend.endswith("apt-get install --no-install-recommends postgresql-15")


def test_a_state_folder_below_a_private_one_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    tmp_path.chmod(0o700)
    monkeypatch.setenv(paths.STATE_VARIABLE, str(tmp_path / "state"))
    check = named("state folder")
    assert check.state == "fail"
    assert "chmod o+x" in check.mend


def test_rendered_as_a_table_and_as_json() -> None:
    found = [
        doctor.Check("disk", "fail", "1.0 GB free", "make room"),
        doctor.Check("GPU", "ok", "no GPU: runs on CPU (no driver)"),
    ]
    assert doctor.render(found).splitlines() == [
        "fail  disk  1.0 GB free",
        "            -> make room",
        "ok    GPU   no GPU: runs on CPU (no driver)",
    ]
    assert json.loads(doctor.render(found, as_json=True))[0] == {
        "name": "disk",
        "state": "fail",
        "found": "1.0 GB free",
        "mend": "make room",
    }
    assert doctor.exit_code(found) == 2
    assert doctor.exit_code(found[1:]) == 0


def test_gpus_are_told_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml.install(monkeypatch, Card("GPU-a"), Card("GPU-b", parts=("MIG-1",)))
    monkeypatch.setattr(gpus, "cpu_builds", lambda: ["TensorFlow"])
    assert named("GPU") == doctor.Check(
        "GPU",
        "ok",
        "NVIDIA A100 (43 GB), NVIDIA A100 MIG 1g.5gb (5 GB); TensorFlow's build is for CPUs",
    )


def test_a_driver_that_is_broken_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml.install(monkeypatch, broken=pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    check = named("GPU")
    assert check.state == "warn"
    assert check.found == (
        "no GPU: runs on CPU (the NVIDIA driver does not answer: Driver Not Loaded)"
    )
    assert "nvidia-smi" in check.mend


def test_no_driver_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml.remove(monkeypatch)
    monkeypatch.setattr(nvidia, "DEVICE", Path("/nowhere"))
    assert named("GPU") == doctor.Check("GPU", "ok", "no GPU: runs on CPU (no NVIDIA driver)")
