"""How roles start, die and stop: everything that goes wrong is named, nothing is left running."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from experiments.approaches.dask_client import connect, worker_name
from experiments.errors import EnvironmentFault, ServerDied, SpecError
from experiments.paths import CHECKOUT
from experiments.runtime import local, started
from experiments.runtime.local import LocalRuntime
from experiments.runtime.process import leftovers
from experiments.specs.secrets import Secrets
from experiments.specs.topology import (
    EVERY_NODE_ROLES,
    FIRST_NODE_ROLES,
    SCHEDULER,
    SEGMENT,
    WORKER,
)
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import Segment

STOP_SECONDS = 10.0


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[LocalRuntime]:
    with LocalRuntime(tmp_path / "cluster") as made:
        yield made
    assert not leftovers(tmp_path)


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(*pids: int) -> bool:
    """Whether none runs; what only waits to be reaped by a slow init does not run."""
    return not any(map(runs, pids))


def runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_topology_has_distinct_ports_and_private_secrets(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("eight", 8, 2)
    ports = [port for node in topology.nodes for port in node.ports.values()]
    every, first = len(EVERY_NODE_ROLES), len(FIRST_NODE_ROLES)
    assert len(ports) == len(set(ports)) == first + 8 * every
    assert topology.workers == 8
    assert topology.threads == 2
    assert topology.secrets.stat().st_mode & 0o777 == 0o700
    assert Secrets(topology.secrets).password()


def test_a_folder_made_before_keeps_its_ports_and_its_password(tmp_path: Path) -> None:
    with LocalRuntime(tmp_path) as first:
        before = first.make_topology("one", 2, 1)
        password = Secrets(before.secrets).password()
    busy = before.nodes[1].ports[WORKER]
    with LocalRuntime(tmp_path) as second, socket.create_server(("127.0.0.1", busy)):
        after = second.make_topology("one", 3, 1)
    assert Secrets(after.secrets).password() == password
    assert after.nodes[0] == before.nodes[0]
    assert after.nodes[1].ports[WORKER] != busy
    assert after.workers == 3


def test_a_port_that_is_taken_is_named_with_its_role(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("taken", 2, 1)
    address, port = topology.nodes[1].endpoint(WORKER)
    # Held as by the runtime itself, then taken by somebody who does listen.
    runtime.start(topology, [SCHEDULER])
    runtime._ports.release(port)
    with (
        socket.create_server((address, port)),
        pytest.raises(
            EnvironmentFault, match=f"port {port} of {address} is taken: the worker on node 1"
        ),
    ):
        runtime.start(topology, [SCHEDULER, WORKER])
    assert list(runtime.pids()) == [(SCHEDULER, 0)]
    runtime.check()


def test_a_port_lost_while_the_role_starts_is_named(
    runtime: LocalRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    topology = runtime.make_topology("lost", 1, 1)
    address, port = topology.nodes[0].endpoint(SCHEDULER)
    runtime._ports.release(port)
    monkeypatch.setattr(local, "taken", lambda *_: False)
    with (
        socket.create_server((address, port)),
        pytest.raises(EnvironmentFault, match=f"port {port} of {address} is taken: the worker-sch"),
    ):
        runtime.start(topology, [SCHEDULER])
    log = (runtime.root / "logs" / f"{SCHEDULER}-0.log").read_text()
    assert log == f"error: port {port} of {address} is taken: the {SCHEDULER} cannot listen on it\n"


def test_an_unknown_role_is_refused_before_anything_starts(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("unknown", 1, 1)
    with pytest.raises(SpecError, match="unknown role 'spark'"):
        runtime.start(topology, [SCHEDULER, "spark"])
    assert not runtime.pids()


def test_a_role_that_dies_at_its_start_is_named_with_its_log(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("damaged", 1, 1)
    Secrets(topology.secrets).cert.write_text("no certificate")
    with pytest.raises(ServerDied) as caught:
        runtime.start(topology, [SCHEDULER])
    message = str(caught.value)
    assert message.startswith("worker-scheduler on node 0 ended with exit status 1; its log ")
    assert "ssl.SSLError" in message.splitlines()[-1]
    assert 2 <= len(message.splitlines()) <= 11


def test_what_a_user_can_mend_stays_one_line(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("mend", 1, 1)
    (runtime.root / "node-0").mkdir()
    (runtime.root / "node-0" / "segment").write_text("in the way")
    shutil.rmtree(topology.secrets)
    expected = re.escape(f"segment on node 0: {topology.secrets}/password: cannot be read")
    with pytest.raises(EnvironmentFault, match=expected):
        runtime.start(topology, ["segment"])


def test_a_role_that_never_serves_is_named_and_stopped(
    runtime: LocalRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(started, "START_SECONDS", 1.0)
    topology = runtime.make_topology("late", 1, 1)
    with pytest.raises(
        ServerDied,
        match=r"worker on node 0 does not serve after \d+ s of waiting for '.*' in its log",
    ):
        runtime.start(topology, [WORKER])  # without a scheduler
    assert not runtime.pids()


def test_a_killed_worker_is_named_and_can_be_started_again(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("killed", 2, 1)
    runtime.start(topology, [SCHEDULER, WORKER])
    before = runtime.pids()
    os.kill(before[WORKER, 1], signal.SIGKILL)
    assert until(lambda: not runtime.alive(), 5)
    with pytest.raises(ServerDied) as caught:
        runtime.check()
    message = str(caught.value)
    assert message.startswith("worker on node 1 ended with signal SIGKILL; its log ")
    assert "this role is ready at tls://" in message
    with pytest.raises(ServerDied, match="worker-1 did not register"):
        connect(topology, timeout=0.5)

    runtime.start(topology, [SCHEDULER, WORKER])
    runtime.check()
    after = runtime.pids()
    assert {key for key in before if before[key] != after[key]} == {(WORKER, 1)}
    client = connect(topology)
    future = client.submit(os.getpid, workers=[worker_name(1)], pure=False)
    assert future.result(timeout=20) == after[WORKER, 1]
    client.close()


def test_workers_end_with_their_scheduler_even_in_the_middle_of_a_task(
    runtime: LocalRuntime,
) -> None:
    topology = runtime.make_topology("orphans", 1, 1)
    runtime.start(topology, [SCHEDULER, WORKER])
    client = connect(topology)
    task = client.submit(time.sleep, 600)
    assert until(lambda: any(client.processing().values()), 5)
    pids = runtime.pids()
    os.kill(pids[SCHEDULER, 0], signal.SIGKILL)
    assert until(lambda: len(runtime.deaths()) == len(pids), 10)
    with pytest.raises(ServerDied, match="worker-scheduler on node 0 ended with signal SIGKILL"):
        runtime.check()
    log = (runtime.root / "logs" / f"{WORKER}-0.log").read_text()
    assert "the worker-scheduler is gone" in log
    task.release()
    client.close()


def test_a_dead_scheduler_is_started_again_with_its_workers(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("again", 2, 1)
    runtime.start(topology, [SCHEDULER, WORKER])
    before = runtime.pids()
    os.kill(before[SCHEDULER, 0], signal.SIGKILL)
    assert until(lambda: (SCHEDULER, 0) in runtime.deaths(), 5)
    runtime.start(topology, [SCHEDULER, WORKER])
    after = runtime.pids()
    assert not set(before.values()) & set(after.values())
    client = connect(topology)
    time.sleep(0.5)
    assert not runtime.deaths(), "no worker of the old scheduler is left to die"
    client.close()


def test_a_start_ends_when_what_it_waits_for_dies(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("waits", 1, 1)
    runtime.start(topology, [SCHEDULER])
    os.kill(runtime.pids()[SCHEDULER, 0], signal.SIGSTOP)  # a worker waits for it
    killer = threading.Timer(1.0, os.kill, (runtime.pids()[SCHEDULER, 0], signal.SIGKILL))
    killer.start()
    begin = time.monotonic()
    with pytest.raises(ServerDied, match="worker-scheduler on node 0 ended with signal SIGKILL"):
        runtime.start(topology, [SCHEDULER, WORKER])
    assert time.monotonic() - begin < 10


def test_backends_of_a_dead_server_do_not_keep_it_from_starting(state_folder: Path) -> None:
    # PostgreSQL's user must reach the folder, and may not enter pytest's.
    with LocalRuntime(state_folder / "clusters" / "backends") as runtime:
        topology = runtime.make_topology("backends", 1, 1)
        runtime.start(topology, [SEGMENT])
        segment = Segment(0, *topology.segments[0])
        cluster = Cluster(topology.coordinator, (segment,), Secrets(topology.secrets).password())
        session = cluster.connect(segment)
        with session.cursor() as cursor:
            cursor.execute(
                "CREATE EXTENSION cerebro_ds CASCADE; CREATE FUNCTION busy() RETURNS void "
                "LANGUAGE plpython3u AS 'while True: pass'; SELECT pg_backend_pid()"
            )
            backend = cursor.fetchone()[0]

        def run() -> None:
            with contextlib.suppress(psycopg2.Error), session.cursor() as cursor:
                cursor.execute("SELECT busy()")

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.2)
        os.kill(runtime.pids()[SEGMENT, 0], signal.SIGKILL)
        assert until(lambda: bool(runtime.deaths()), 5)
        assert runs(backend)
        runtime.start(topology, [SEGMENT])
        assert gone(backend)
        thread.join(5)
        cluster.connect(segment).close()
        runtime.stop(purge=True)


def test_a_scheduler_that_is_not_there_is_named(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("nobody", 1, 1)
    with pytest.raises(ServerDied, match=f"worker-scheduler at {topology.scheduler} does not"):
        connect(topology, timeout=0.5)


def test_stop_ends_what_does_not_listen_and_what_roles_started(
    runtime: LocalRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(started, "GRACE_SECONDS", 1.0)
    topology = runtime.make_topology("deaf", 2, 1)
    runtime.start(topology, [SCHEDULER, WORKER])
    client = connect(topology)

    def child() -> int:
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        return subprocess.Popen(command, start_new_session=True).pid

    children = [
        client.submit(child, workers=[worker_name(index)], pure=False).result(timeout=20)
        for index in (0, 1)
    ]
    client.close()
    pids = runtime.pids()
    os.kill(pids[WORKER, 1], signal.SIGSTOP)
    begin = time.monotonic()
    runtime.stop()
    assert time.monotonic() - begin < STOP_SECONDS
    assert gone(*pids.values(), *children)
    runtime.stop()
    assert runtime.root.exists()
    runtime.stop(purge=True)
    assert not runtime.root.exists()
    runtime.stop(purge=True)


def test_a_killed_cluster_is_taken_over(
    runtime: LocalRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "GRACE_SECONDS", 0.1)
    data = runtime.root / "node-0"
    data.mkdir(parents=True)
    sleep = "import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", sleep], cwd=data) as orphan:
        assert until(lambda: bool(leftovers(runtime.root)), 5)
        assert [process.pid for process in leftovers(runtime.root)] == [orphan.pid]
        runtime.make_topology("again", 1, 1)
        assert orphan.wait(5) == -signal.SIGKILL


PARENT = """
import sys, time
from pathlib import Path
from experiments.runtime.local import LocalRuntime
with LocalRuntime(Path(sys.argv[1])) as runtime:
    topology = runtime.make_topology("parent", 2, 1)
    runtime.start(topology, ["worker-scheduler", "worker"])
    print(*runtime.pids().values(), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_roles_end_with_their_parent_however_it_ends(
    number: signal.Signals, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "cluster")],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 3
        os.killpg(parent.pid, number)  # as a terminal does on Ctrl-C
        parent.wait(STOP_SECONDS)
    assert until(lambda: gone(*pids), 5)
    assert not leftovers(tmp_path)
