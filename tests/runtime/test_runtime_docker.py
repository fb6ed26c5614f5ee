"""Clusters of containers: what runs in them, what ends them, and that nothing of them stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.mop import invariants
from experiments.paths import CHECKOUT, RunFolder, state
from experiments.runner.execute import execute
from experiments.runner.plan import PlannedRun, RunState, planned
from experiments.runtime import choice, images, sweep
from experiments.runtime.definitions import CLUSTER_LABEL, DRIVER, HOLDER, OWNER_LABEL
from experiments.specs.load import protocols
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec
from experiments.telemetry.journal import Event, read
from tests.runtime.engine import engine, needs_engine

pytestmark = needs_engine

RUN = """
import json, sys
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.model import RunSpec
spec = RunSpec.from_json(json.loads(sys.argv[1]))
execute(planned(spec, runtime="docker"), lambda event: None)
"""
HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""
SPEC = RunSpec(
    experiment="contained",
    approach="ctq",
    scale="smoke",
    protocol=protocols()["equal"],
    workers=2,
    seed=1,
    epochs=1,
    policy="random",
    dataset=DatasetSpec("blobs", train_rows=6000, valid_rows=40),
    configs=tuple(ModelConfig("linear", rate, 0.0, 1) for rate in (1e-2, 1e-3, 1e-4)),
)
UNITS = 2 * 2 * len(SPEC.configs)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with engine() as client:
        images.ensure(client, images.IMAGES, print)
        yield client
        sweep.remove(client, str(state().root))


def of(client: Any, name: str) -> list[Any]:
    """Containers, networks and volumes of a cluster."""
    return sweep.found(client, str(state().root), name)


def container(client: Any, name: str, what: str) -> Any:
    return client.containers.get(f"cerebro-ds-{name}-{what}")


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def finished(folder: RunFolder) -> list[tuple[int | None, int | None, str]]:
    events = read(folder.journal)
    return [(e.model, e.partition, e.detail["kind"]) for e in events if e.kind == "unit_finished"]


def started(run: PlannedRun) -> subprocess.Popen[bytes]:
    """The run in a process of its own, which has finished a unit."""
    arguments = [sys.executable, "-c", RUN, json.dumps(run.spec.to_json())]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    log = run.folder.root.parent / f"{run.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        process = subprocess.Popen(
            arguments, cwd=CHECKOUT, env=environment, stderr=said, stdin=subprocess.DEVNULL
        )
    assert until(lambda: bool(finished(run.folder)) or process.poll() is not None, 120)
    assert process.poll() is None, "the run ended before anything could be done to it"
    return process


def whole(run: PlannedRun) -> list[Event]:
    """The journal of a run that has ended: every unit once, the hopper's invariants kept."""
    done = finished(run.folder)
    assert len(done) == len(set(done)) == UNITS
    events = list(read(run.folder.journal))
    invariants.check(events, len(run.spec.configs), run.spec.workers, [1])
    return events


def test_a_segment_that_is_killed_is_started_again_and_nothing_stays(client: Any) -> None:
    run = planned(replace(SPEC, seed=2), runtime=choice.DOCKER)
    process = started(run)
    try:
        things = of(client, run.name)
        for thing in things:
            thing.reload()
        secret = (state().clusters / run.name / "secrets" / "password").read_text()
        container(client, run.name, "segment-1").kill()
        assert process.wait(180) == 0
    finally:
        process.kill()
        process.communicate()
    events = whole(run)
    assert [e for e in events if e.kind == "unit_lost"]
    restarts = list(read(run.folder.restarts))
    assert [(e.detail["role"], e.worker) for e in restarts] == [("segment", 1)]
    assert not of(client, run.name)
    recorded = json.loads(run.folder.run.read_text())["runtime"]
    assert recorded["kind"] == "docker"
    assert all(each.startswith("sha256:") for each in recorded["images"].values())
    containers = [thing.attrs for thing in things if "HostConfig" in thing.attrs]
    assert len(containers) == 2 + 3 + 2 + 1  # holders, coordinator and segments, samplers, driver
    for attributes in containers:
        confined(attributes)
        assert secret not in str(attributes)


def confined(attributes: dict[str, Any]) -> None:
    """A container of ours has no root, no capabilities, no way out and no socket of the engine."""
    host = attributes["HostConfig"]
    assert attributes["Config"]["User"].split(":")[0] not in {"", "0", "root"}
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["Privileged"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] > 0
    assert not any("docker.sock" in str(mount) for mount in attributes["Mounts"])


def test_when_the_command_is_killed_all_containers_end_and_it_goes_on(client: Any) -> None:
    run = planned(replace(SPEC, seed=3), runtime=choice.DOCKER)
    process = started(run)
    process.kill()
    process.communicate()

    def running() -> list[str]:
        labels = [f"{OWNER_LABEL}={state().root}"]
        return [each.name for each in client.containers.list(filters={"label": labels})]

    assert until(lambda: not running(), 15), running()
    before = list(read(run.folder.journal))
    again = planned(run.spec, runtime=choice.DOCKER)
    assert again.state is RunState.PARTIAL
    execute(again, lambda _: None)
    assert whole(run)[: len(before)] == before
    assert not of(client, run.name)


def test_a_node_that_is_killed_is_made_again(client: Any) -> None:
    run = planned(replace(SPEC, seed=5), runtime=choice.DOCKER)
    process = started(run)
    try:
        container(client, run.name, f"{HOLDER}-1").kill()
        assert process.wait(180) == 0
    finally:
        process.kill()
        process.communicate()
    whole(run)
    # Its sampler went with it.
    restarts = {e.kind: e for e in read(run.folder.restarts)}
    assert restarts.keys() <= {"restarted", "sampler_lost"}
    assert (restarts["restarted"].detail["role"], restarts["restarted"].worker) == ("segment", 1)


@pytest.mark.parametrize("what", [DRIVER, f"{HOLDER}-0"])
def test_a_driver_or_node_that_is_killed_fails_the_command_which_goes_on(
    what: str, client: Any
) -> None:
    run = planned(replace(SPEC, seed=4 + len(what)), runtime=choice.DOCKER)
    process = started(run)
    try:
        container(client, run.name, what).kill()
        process.wait(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 1
    said = (run.folder.root.parent / f"{run.name}.log").read_text()
    assert "its driver ended with signal SIGKILL" in said
    assert not of(client, run.name)
    execute(planned(run.spec, runtime=choice.DOCKER), lambda _: None)
    whole(run)


def test_ctrl_c_leaves_no_container(client: Any) -> None:
    run = planned(replace(SPEC, seed=30), runtime=choice.DOCKER)
    process = started(run)
    try:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert not of(client, run.name)
    assert list(read(run.folder.journal))[-1].kind == "interrupted"


def test_what_killed_commands_left_goes_and_what_runs_stays(client: Any, tmp_path: Path) -> None:
    def volume(cluster: str) -> Any:
        labels = {OWNER_LABEL: str(tmp_path), CLUSTER_LABEL: cluster}
        return client.volumes.create(f"cerebro-ds-test-{cluster}-{os.getpid()}", labels=labels)

    volume("dead")
    alive = volume("alive")
    (tmp_path / "alive").mkdir()
    lock = [sys.executable, "-c", HOLD, str(tmp_path / "alive" / "lock")]
    with subprocess.Popen(lock, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        sweep.remove_abandoned(client, str(tmp_path), tmp_path)
        assert [each.name for each in sweep.found(client, str(tmp_path))] == [alive.name]
        process.kill()
    sweep.remove_abandoned(client, str(tmp_path), tmp_path)
    assert not sweep.found(client, str(tmp_path))
