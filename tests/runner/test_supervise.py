"""Roles are started again, within bounds, and every restart is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from experiments.errors import EnvironmentFault, ServerDied
from experiments.runner.supervise import START_ATTEMPTS, YOUNG_DEATHS, YOUNG_SECONDS, Supervisor
from experiments.specs.topology import SCHEDULER, WORKER, Topology
from experiments.telemetry.journal import Journal, read

KEY = WORKER, 1


class FakeRuntime:
    """Roles that die when told to, and starts that fail when told to."""

    def __init__(self) -> None:
        self.dead: dict[tuple[str, int], ServerDied] = {}
        self.failures: list[Exception] = []
        self.starts = 0
        self.start_seconds = 0.0
        self.spend: Callable[[float], None] = lambda seconds: None

    def die(self, key: tuple[str, int]) -> None:
        self.dead[key] = ServerDied(f"{key[0]} on node {key[1]} ended with signal SIGKILL; its log")

    def start(self, topology: Topology, roles: Sequence[str]) -> None:
        self.starts += 1
        self.spend(self.start_seconds)
        if self.failures:
            raise self.failures.pop(0)
        self.dead.clear()

    def deaths(self) -> Mapping[tuple[str, int], ServerDied]:
        return dict(self.dead)

    def stop(self, *, purge: bool = False) -> None:
        raise NotImplementedError


class Watched:
    """A supervisor with its clock and what it records."""

    def __init__(self, path: Path) -> None:
        self.runtime = FakeRuntime()
        self.runtime.spend = self.spend
        self.now = 0.0
        self.journal = Journal(path, "run")
        topology = Topology("fake", path.parent, 1, ())
        roles = (SCHEDULER, WORKER)
        self.supervisor = Supervisor(
            self.runtime, topology, roles, self.journal, clock=lambda: self.now
        )

    def spend(self, seconds: float) -> None:
        self.now += seconds

    def recorded(self) -> list[tuple[str, int | None]]:
        return [(event.detail["role"], event.worker) for event in read(self.journal.path)]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "restarts.jsonl")


def test_nothing_is_started_while_all_live(watched: Watched) -> None:
    watched.supervisor.look()
    assert not watched.runtime.starts
    assert not watched.recorded()


def test_a_dead_role_is_started_again_and_recorded(watched: Watched) -> None:
    watched.runtime.die(KEY)
    watched.supervisor.look()
    watched.supervisor.look()
    assert watched.runtime.starts == 1
    (event,) = read(watched.journal.path)
    assert event.detail == {
        "role": WORKER,
        "reason": "worker on node 1 ended with signal SIGKILL",
    }
    assert event.worker == 1


def test_a_role_that_keeps_dying_young_ends_the_run(watched: Watched) -> None:
    for _ in range(YOUNG_DEATHS):
        watched.runtime.die(KEY)
        watched.supervisor.look()
        watched.now += YOUNG_SECONDS / 2
    watched.runtime.die(KEY)
    with pytest.raises(ServerDied, match="in vain: worker on node 1 ended with signal SIGKILL"):
        watched.supervisor.look()


def test_a_role_that_dies_seldom_is_always_started_again(watched: Watched) -> None:
    for _ in range(5 * YOUNG_DEATHS):
        watched.runtime.die(KEY)
        watched.supervisor.look()
        watched.now += YOUNG_SECONDS
    assert len(watched.recorded()) == 5 * YOUNG_DEATHS


def test_a_restart_that_fails_of_another_death_is_tried_again(watched: Watched) -> None:
    watched.runtime.die(KEY)
    watched.runtime.failures = [ServerDied("no scheduler")] * (YOUNG_DEATHS - 1)
    watched.supervisor.look()
    assert watched.recorded() == [(WORKER, 1)]


def test_a_restart_that_keeps_failing_ends_the_run(watched: Watched) -> None:
    watched.runtime.die(KEY)
    watched.runtime.failures = [ServerDied(f"attempt {n}") for n in range(1, 10)]
    with pytest.raises(ServerDied, match=f"attempt {START_ATTEMPTS}"):
        watched.supervisor.look()
    assert not watched.recorded()


def test_a_start_that_took_too_long_is_tried_once_more(watched: Watched) -> None:
    watched.runtime.start_seconds = YOUNG_SECONDS + 1
    watched.runtime.failures = [ServerDied("no scheduler")]
    watched.supervisor.start()
    watched.runtime.failures = [ServerDied(f"attempt {n}") for n in range(1, 10)]
    with pytest.raises(ServerDied, match="attempt 2"):
        watched.supervisor.start()


def test_what_the_user_can_mend_is_not_tried_again(watched: Watched) -> None:
    watched.runtime.die(KEY)
    watched.runtime.failures = [EnvironmentFault("port 5 is taken")]
    with pytest.raises(EnvironmentFault):
        watched.supervisor.look()
    assert watched.runtime.starts == 1
