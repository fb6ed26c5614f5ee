"""What the samplers make of files of ``/proc`` and ``/sys``, and of NVML."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.errors import SpecError
from experiments.telemetry import sampler
from experiments.telemetry.cgroup import ControlGroup
from experiments.telemetry.devices import Disks
from experiments.telemetry.gpu import Gpus
from experiments.telemetry.readings import GPU, GPU_PROCESS
from tests import fake_nvml
from tests.fake_nvml import GIB, Card


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_control_group_of_version_two(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    write(root / "cgroup.controllers", "cpu memory")
    write(root / "a/cpu.stat", "usage_usec 1234\nuser_usec 1000\n")
    write(root / "a/memory.current", "9000\n")
    write(root / "a/memory.stat", "anon 5000\nfile 4000\n")
    write(root / "a/memory.max", "max\n")
    write(own, "0::/a\n")
    assert ControlGroup(root, own).read() == {
        "": {"cpu_us": 1234, "used_bytes": 9000, "page_cache_bytes": 4000, "own_bytes": 5000}
    }


def test_a_control_group_of_version_one(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    write(root / "cpuacct/cpuacct.usage", "7000000\n")
    write(root / "memory/b/memory.usage_in_bytes", "9000\n")
    write(root / "memory/b/memory.stat", "cache 1\ntotal_cache 4000\ntotal_rss 5000\n")
    write(root / "memory/b/memory.limit_in_bytes", "16000\n")
    write(own, "4:memory:/b\n2:cpu,cpuacct:/nowhere\n")
    assert ControlGroup(root, own).read() == {
        "": {
            "cpu_us": 7000,
            "used_bytes": 9000,
            "page_cache_bytes": 4000,
            "own_bytes": 5000,
            "limit_bytes": 16000,
        }
    }


def test_no_control_group_has_its_reason(tmp_path: Path) -> None:
    group = ControlGroup(tmp_path, tmp_path / "own")
    assert group.read() == {}
    assert "no control group of this process can be read" in group.reason


def test_devices_that_lie_on_others_are_left_out(tmp_path: Path) -> None:
    for name in ("sda", "loop0", "dm-0"):
        (tmp_path / "block" / name / "slaves").mkdir(parents=True)
    (tmp_path / "block/dm-0/slaves/sda").mkdir()
    line = "8 0 {} 1 0 10 0 2 0 20 0 0 30 0 0"
    names = ("sda", "sda1", "loop0", "dm-0")
    write(tmp_path / "diskstats", "\n".join(map(line.format, names)) + "\n")
    assert Disks(tmp_path, tmp_path / "block").read() == {
        "sda": {"read_bytes": 5120, "write_bytes": 10240, "busy_us": 30000}
    }
    nothing = Disks(tmp_path, tmp_path / "elsewhere")
    assert nothing.read() == {}
    assert "no block device" in nothing.reason


def test_gpus_tell_occupancy_apart_from_the_memorys_controller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cards = (
        Card("GPU-1", busy=(74, 42), used=30 * GIB, watts=120.1, joules=5.5, processes=((7, GIB),)),
        Card("GPU-2", name="Tesla P100", busy=(3, 1), joules=None, processes=((7, 1), (8, 2))),
    )
    fake_nvml.install(monkeypatch, *cards)
    gpus = Gpus()
    found = gpus.read({7: "worker-0"}.get)
    assert found[GPU]["GPU-1"] == {
        "busy_pct": 74,
        "controller_pct": 42,
        "used_bytes": 30 * GIB,
        "memory_bytes": 40 * GIB,
        "power_mw": 120_100,
        "energy_mj": 5500,
    }
    assert "energy_mj" not in found[GPU]["GPU-2"]
    assert "Not Supported" in gpus.states["gpu/GPU-2/energy"]
    assert found[GPU_PROCESS] == {
        "GPU-1/worker-0": {"processes": 1, "used_bytes": GIB},
        "GPU-2/worker-0": {"processes": 1, "used_bytes": 1},
        "GPU-2/others": {"processes": 1, "used_bytes": 2},
    }


def test_a_gpu_that_is_divided_is_read_with_its_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card("GPU-1", parts=("MIG-1", "MIG-2"), busy=None, watts=50.0, joules=1.0)
    fake_nvml.install(monkeypatch, card)
    gpus = Gpus()
    found = gpus.read(lambda pid: None)[GPU]
    assert set(found) == {"GPU-1", "MIG-1", "MIG-2"}
    assert found["GPU-1"]["energy_mj"] == 1000
    assert found["MIG-1"]["memory_bytes"] == 5 * GIB
    assert "busy_pct" not in found["MIG-1"]
    assert "Not Supported" in gpus.states["gpu/MIG-1/utilisation"]


def test_no_gpu_is_a_state_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml.remove(monkeypatch)
    gpus = Gpus()
    assert gpus.read(lambda pid: None) == {}
    assert gpus.states[GPU]


@pytest.mark.parametrize("text", ["often", "0", "3600", "nan"])
def test_a_period_that_cannot_be_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sampler.PERIOD_VARIABLE, text)
    with pytest.raises(SpecError, match=r"CEREBRO_DS_SAMPLE_SECONDS is .*expected seconds"):
        sampler.period()
