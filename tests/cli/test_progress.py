"""What a run shows: restarts as they come, and nothing twice when a run goes on."""

from __future__ import annotations

import time
from typing import Any

import pytest

from experiments.cli.progress import Progress
from experiments.runner.plan import planned
from experiments.specs.load import protocols
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec
from experiments.telemetry.journal import Event


def event(kind: str, ago: float = 0.0, **fields: Any) -> Event:
    return Event(kind=kind, run="r", wall=time.time() - ago, mono_ns=1, **fields)


def unit(kind: str, worker: int, ago: float = 0.0) -> Event:
    detail = {"kind": "train"}
    return event(kind, ago, worker=worker, model=0, partition=worker, epoch=1, detail=detail)


@pytest.fixture
def progress() -> Progress:
    """Of a run of 2 times 2 units."""
    spec = RunSpec(
        experiment="progress",
        approach="ctq",
        scale="smoke",
        protocol=protocols()["equal"],
        workers=2,
        seed=1,
        epochs=1,
        policy="random",
        dataset=DatasetSpec("blobs", 10, 10),
        configs=(ModelConfig("linear", 1e-2, 0.0, 1),),
    )
    run = planned(spec)
    made = Progress([run], quiet=False)
    made.started(run)
    return made


def test_a_restart_is_shown(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    reason = "segment on node 1 ended with signal SIGKILL"
    progress.watch(event("restarted", worker=1, detail={"role": "segment", "reason": reason}))
    assert f"    {reason}: restarted\n" in capsys.readouterr().err


def test_earlier_starts_are_counted_but_not_shown(
    progress: Progress, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for worker in (0, 1):
        progress.watch(unit("unit_started", worker, ago=100))
    progress.watch(unit("unit_finished", 0, ago=90))
    assert not capsys.readouterr().err
    progress.watch(event("run_started", detail={"resumed": True}))
    tracker = progress._tracker
    assert tracker is not None
    assert tracker.lines() == ["worker 0: waits", "worker 1: waits"], "an interrupted unit is over"
    progress.watch(unit("unit_started", 1))
    progress.watch(unit("unit_finished", 1, ago=-1))
    assert "2 of 4 units" in capsys.readouterr().err


def test_a_lost_unit_is_not_running(progress: Progress) -> None:
    progress.watch(unit("unit_started", 0))
    progress.watch(unit("unit_lost", 0))
    tracker = progress._tracker
    assert tracker is not None
    assert not tracker._busy
