"""One running cluster of a worker-scheduler and two workers: who may speak to it, who does what."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client

from experiments.approaches.dask_client import connect, security, worker_name
from experiments.errors import EnvironmentFault
from experiments.runtime.local import LocalRuntime
from experiments.runtime.secrets import make_secrets
from experiments.specs.secrets import Secrets
from experiments.specs.topology import SCHEDULER, THREAD_VARIABLES, WORKER

THREADS = 3
REFUSAL_SECONDS = 1.5


class Running:
    """A runtime with its topology and a client."""

    def __init__(self, runtime: LocalRuntime) -> None:
        self.runtime = runtime
        self.topology = runtime.make_topology("tests", 2, THREADS)

        # The thread that starts the roles ends before the tests begin; the roles must not.
        starter = threading.Thread(target=runtime.start, args=(self.topology, [WORKER, SCHEDULER]))
        starter.start()
        starter.join()
        self.client: Any = connect(self.topology)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with LocalRuntime(tmp_path_factory.mktemp("cluster")) as runtime:
        made = Running(runtime)
        yield made
        made.client.close()


def test_a_task_runs_on_the_worker_it_is_pinned_to(running: Running) -> None:
    pids = running.runtime.pids()
    for index in (1, 0, 1):
        future = running.client.submit(os.getpid, workers=[worker_name(index)], pure=False)
        assert future.result(timeout=20) == pids[WORKER, index]


def test_roles_live_in_their_own_sessions_and_outlive_the_thread_that_asked(
    running: Running,
) -> None:
    running.runtime.check()
    assert running.runtime.alive()
    pids = running.runtime.pids()
    assert sorted(pids) == [(WORKER, 0), (WORKER, 1), (SCHEDULER, 0)]
    for pid in pids.values():
        assert os.getsid(pid) == pid


def test_a_worker_may_use_as_many_threads_as_the_topology_says(running: Running) -> None:
    def limits() -> dict[str, str | None]:
        return {name: os.environ.get(name) for name in THREAD_VARIABLES}

    assert running.client.submit(limits, pure=False).result(timeout=20) == dict.fromkeys(
        THREAD_VARIABLES, str(THREADS)
    )


def test_the_scheduler_neither_retries_nor_steals(running: Running) -> None:
    def settings(dask_scheduler: Any) -> tuple[int, bool]:
        return dask_scheduler.allowed_failures, "stealing" in dask_scheduler.extensions

    assert running.client.run_on_scheduler(settings) == (0, False)


def test_roles_listen_on_their_own_port_only(running: Running) -> None:
    for (role, index), pid in running.runtime.pids().items():
        listening = [
            (entry.laddr.ip, entry.laddr.port)
            for entry in psutil.Process(pid).net_connections()
            if entry.status == psutil.CONN_LISTEN
        ]
        assert listening == [running.topology.nodes[index].endpoint(role)]


def test_starting_again_leaves_running_roles_alone(running: Running) -> None:
    before = running.runtime.pids()
    running.runtime.start(running.topology, [SCHEDULER, WORKER])
    assert running.runtime.pids() == before


def test_another_runtime_cannot_take_the_folder(running: Running) -> None:
    other = LocalRuntime(running.runtime.root)
    with pytest.raises(EnvironmentFault, match=f"in use by process {os.getpid()}"):
        other.make_topology("other", 2, 1)
    assert running.runtime.alive()


@pytest.mark.parametrize("role", [SCHEDULER, WORKER])
def test_bytes_in_the_clear_are_hung_up_on(running: Running, role: str) -> None:
    received = b""
    with socket.create_connection(running.topology.nodes[0].endpoint(role), 5) as connection:
        connection.sendall(b"x" * 64)
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(4096):
                received += part
    assert len(received) < 64, "more than a TLS alert"


def refused(address: str, security: Any = None) -> str:
    """What a client is told that must not get in."""
    with pytest.raises(OSError, match=r"tls://|tcp://|TLS") as caught:
        Client(address, timeout=REFUSAL_SECONDS, security=security, set_as_default=False)
    return str(caught.value)


def test_a_client_in_the_clear_is_refused(running: Running) -> None:
    address, port = running.topology.nodes[0].endpoint(SCHEDULER)
    assert "reset by peer" in refused(f"tcp://{address}:{port}")


def test_a_client_of_another_authority_is_refused(running: Running, tmp_path: Path) -> None:
    stranger = make_secrets(tmp_path / "stranger", ["127.0.0.1"])
    message = refused(running.topology.scheduler, security(stranger))
    assert "TLS certificate does not match" in message


def test_a_client_that_trusts_us_but_is_not_one_of_us_is_refused(
    running: Running, tmp_path: Path
) -> None:
    impostor = make_secrets(tmp_path / "impostor", ["127.0.0.1"])
    impostor.ca.write_bytes(Secrets(running.topology.secrets).ca.read_bytes())
    message = refused(running.topology.scheduler, security(impostor))
    assert re.search("TLS|SSL", message)
