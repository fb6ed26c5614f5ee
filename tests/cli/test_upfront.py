"""What is said, or refused, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import nvidia
from experiments.cli import upfront
from experiments.cli.main import main
from experiments.runner.plan import planned
from experiments.runtime import gpus
from experiments.specs.load import run_spec
from experiments.specs.topology import ALL_SEGMENTS
from tests import fake_nvml
from tests.fake_nvml import Card

SMOKE = ["--figure", "9b", "--scale", "smoke"]
TRAINS = planned(run_spec("breakdown", "ctq", "smoke"))
WAITS = planned(run_spec("breakdown", "ctq", "smoke", device="p100"))


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml.remove(monkeypatch)
    monkeypatch.setattr(nvidia, "DEVICE", Path("/nowhere"))


@pytest.mark.usefixtures("no_driver")
def test_runs_that_train_say_that_it_is_on_the_cpu() -> None:
    assert upfront.check([TRAINS, WAITS], ALL_SEGMENTS) == ["training on the CPU: no NVIDIA driver"]
    assert upfront.check([WAITS], ALL_SEGMENTS) == []


def test_workers_that_will_share_a_gpu_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml.install(monkeypatch, Card("GPU-a"))
    monkeypatch.setattr(gpus, "cpu_builds", list)
    assert upfront.check([TRAINS, TRAINS], ALL_SEGMENTS) == [
        "warning: 2 workers share 1 GPU: 2 on one, each with 0.45 of its memory"
    ]


@pytest.mark.usefixtures("no_driver")
def test_segments_with_a_gpu_are_refused_where_there_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*SMOKE, "--segments", "gpu"]) == 2
    assert capsys.readouterr().err == (
        "error: --segments gpu: this machine has no GPU (no NVIDIA driver); leave the option out "
        "to train on CPUs\n"
    )


def test_segments_of_another_name_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMOKE, "--segments", "gpus"]) == 2
    assert "unknown segments 'gpus': did you mean 'gpu'?" in capsys.readouterr().err
