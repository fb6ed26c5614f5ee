"""Samplers of a run: started with it, lost without harm, gone when it is over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from experiments.errors import EnvironmentFault, ServerDied
from experiments.paths import state
from experiments.runner.sampling import MOST_DEATHS, Sampling
from experiments.runner.supervise import Supervisor
from experiments.runtime.local import LocalRuntime
from experiments.specs.topology import SAMPLER, SCHEDULER, Topology
from experiments.telemetry import sampler, store
from experiments.telemetry.journal import Journal, read

KEY = SAMPLER, 0


class Run:
    """A cluster of processes with a scheduler and a sampler."""

    def __init__(self, root: Path) -> None:
        self.runtime = LocalRuntime(root / "cluster")
        self.topology: Topology = self.runtime.make_topology(f"sampled-{os.getpid()}", 2, 1)
        self.events = Journal(root / "restarts.jsonl", "run")
        self.sampling = Sampling(self.runtime, self.topology, self.events)
        self.supervisor = Supervisor(self.runtime, self.topology, [SCHEDULER], self.events)
        self.kept = root / "telemetry"

    def samples(self) -> int:
        path = state().live(self.topology.name) / store.LIVE.format(0)
        return len(store.read_live(path)[1]) if path.exists() else 0

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while self.samples() < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self) -> int:
        pid = self.runtime.pids()[KEY]
        os.kill(pid, signal.SIGKILL)
        while KEY not in self.runtime.deaths():
            time.sleep(0.01)
        return pid

    def lost(self) -> list[str]:
        return [e.detail["reason"] for e in read(self.events.path) if e.kind == "sampler_lost"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv(sampler.PERIOD_VARIABLE, "0.05")
    made = Run(tmp_path)
    with made.runtime:
        yield made
    made.events.close()


def test_a_run_keeps_what_its_sampler_saw(run: Run) -> None:
    run.sampling.start()
    run.supervisor.start()
    assert set(run.runtime.pids()) == {KEY, (SCHEDULER, 0)}
    run.wait_for(3)
    pid = run.runtime.pids()[KEY]
    run.sampling.finish(run.kept)
    assert not psutil.pid_exists(pid)
    assert set(run.runtime.pids()) == {(SCHEDULER, 0)}
    (path,) = store.kept_files(run.kept)
    headers, table = store.read(path)
    assert [header.run for header in headers] == [run.topology.name] * len(headers)
    groups = {row["name"] for row in table.to_pylist() if row["source"] == "group"}
    assert groups == {"sampler-0", "worker-scheduler-0"}
    assert not run.lost()


def test_a_sampler_that_is_killed_is_started_again_and_is_no_restart_of_the_run(run: Run) -> None:
    run.sampling.start()
    run.supervisor.start()
    run.wait_for(1)
    run.kill()
    run.supervisor.look()
    run.supervisor.start()  # others start although it lies dead
    run.sampling.look()
    run.wait_for(run.samples() + 2)
    run.sampling.finish(run.kept)
    assert [event.kind for event in read(run.events.path)] == ["sampler_lost"]
    assert run.lost() == ["sampler on node 0 ended with signal SIGKILL"]
    (path,) = store.kept_files(run.kept)
    assert len({header.mono_ns for header in store.read(path)[0]}) >= 2


def test_one_that_dies_again_and_again_is_left_dead(run: Run) -> None:
    run.sampling.start()
    for _ in range(MOST_DEATHS):
        run.kill()
        run.sampling.look()
    assert KEY in run.runtime.deaths()
    run.sampling.look()
    assert len(run.lost()) == MOST_DEATHS


def test_a_run_goes_on_where_there_can_be_no_sampler(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise EnvironmentFault("node 0 has no container for it; give --provision again")

    def unreachable(_: Path) -> None:
        raise ServerDied("node 0: no answer")

    monkeypatch.setattr(run.runtime, "start", refuse)
    monkeypatch.setattr(run.runtime, "bring", unreachable)
    run.sampling.start()
    run.sampling.look()
    run.sampling.finish(run.kept)
    assert run.lost() == ["node 0 has no container for it", "node 0: no answer"]
    assert not run.kept.exists()
