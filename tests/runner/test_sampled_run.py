"""A whole run whose sampler is killed: the run is whole, its samples go on, nothing is left."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from experiments.analysis import samples
from experiments.analysis.resources import resources
from experiments.analysis.runs import load
from experiments.paths import state
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.load import protocols
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec
from experiments.telemetry import readings, sampler
from experiments.telemetry.journal import Event, read

SPEC = RunSpec(
    experiment="sampled",
    approach="cerebro-standalone",
    scale="smoke",
    protocol=protocols()["equal"],
    workers=2,
    seed=1,
    epochs=2,
    policy="random",
    dataset=DatasetSpec("blobs", train_rows=8000, valid_rows=40),
    configs=tuple(ModelConfig("linear", rate, 0.0, 1) for rate in (1e-2, 1e-3)),
)


def sampling(name: str) -> list[int]:
    """Samplers of a run's cluster."""
    folder = str(state().clusters / name)
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "sampler" in (line := process.info["cmdline"] or []) and folder in " ".join(line)
    ]


def test_a_run_outlives_its_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sampler.PERIOD_VARIABLE, "0.1")
    run = planned(SPEC)
    killed: list[int] = []

    def watch(event: Event) -> None:
        if event.kind == "unit_finished" and not killed:
            killed.extend(sampling(run.name))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    execute(run, watch)
    assert len(killed) == 1
    assert not sampling(run.name)
    assert [event.kind for event in read(run.folder.restarts)] == ["sampler_lost"]
    done = load(run.folder.root)
    assert done.restarts == 0
    (node,) = samples.load(done)
    roles = set(samples.roles(node))
    assert roles == {"driver-0", "worker-scheduler-0", "worker-0", "worker-1"}
    found = resources(done)
    assert found["cpu_s"].state == "measured"  # although nobody looked for a while
    ended = psutil.Process().children(recursive=True)
    assert not [each for each in ended if "sampler" in each.cmdline()]
    whole = sum(node.frame[readings.GROUP, role, "cpu_us"].max() for role in roles) / 1e6
    assert 0 < found["cpu_s"].number <= whole  # type: ignore[operator]
