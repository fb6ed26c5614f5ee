"""A real standalone Spark cluster: who may speak to it, what it shows, what is left of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from experiments.approaches import spark_settings
from experiments.errors import EnvironmentFault
from experiments.runtime.local import LocalRuntime
from experiments.runtime.process import leftovers
from experiments.specs.secrets import Secrets
from experiments.specs.topology import SPARK_MASTER, SPARK_WORKER, Topology

ROLES = (SPARK_MASTER, SPARK_WORKER)


class Running:
    """A runtime with its topology."""

    def __init__(self, runtime: LocalRuntime) -> None:
        self.runtime = runtime
        self.topology: Topology = runtime.make_topology("tests", 1, 1)
        runtime.start(self.topology, ROLES)

    def log(self, role: str) -> str:
        return (self.runtime.root / "logs" / f"{role}-0.log").read_text()

    def listening(self, role: str) -> set[tuple[str, int]]:
        process = psutil.Process(self.runtime.pids()[role, 0])
        return {
            (entry.laddr.ip.removeprefix("::ffff:"), entry.laddr.port)
            for entry in process.net_connections()
            if entry.status == psutil.CONN_LISTEN
        }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("spark")
    with LocalRuntime(folder / "cluster") as runtime:
        yield Running(runtime)
    assert not leftovers(folder)


@pytest.mark.parametrize("role", ROLES)
def test_roles_listen_on_their_own_address_only(running: Running, role: str) -> None:
    address, port = running.topology.nodes[0].endpoint(role)
    listening = running.listening(role)
    assert (address, port) in listening
    assert {ip for ip, _ in listening} == {address}


@pytest.mark.parametrize("role", ROLES)
def test_status_pages_let_nobody_in(running: Running, role: str) -> None:
    own = running.topology.nodes[0].endpoint(role)
    ((address, port),) = running.listening(role) - {own}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{address}:{port}/", timeout=10)
    with refused.value:
        assert refused.value.code == 403


@pytest.mark.parametrize("role", ROLES)
def test_the_secret_is_neither_in_the_command_nor_in_the_log(running: Running, role: str) -> None:
    secret = Secrets(running.topology.secrets).spark()
    process = psutil.Process(running.runtime.pids()[role, 0])
    assert process.name() == "java"
    assert secret not in " ".join(process.cmdline())
    assert secret not in running.log(role)
    conf = running.topology.nodes[0].data / role / "conf"
    assert conf.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in conf.iterdir()} == {0o600}


def test_who_does_not_know_the_secret_is_hung_up_on(running: Running, tmp_path: Path) -> None:
    """Workers that are not of us, one without and one with a secret; they would get our work."""
    ours = spark_settings.shared(running.topology)
    before = running.log(SPARK_MASTER)
    with contextlib.ExitStack() as strangers:
        logs = [
            strangers.enter_context(_stranger(running.topology, tmp_path / name, settings))
            for name, settings in {
                "nothing": {},
                "another": {**ours, "spark.authenticate.secret": "another"},
            }.items()
        ]
        deadline = time.monotonic() + 60
        while any("Failed to connect to master" not in log.read_text() for log in logs):
            assert time.monotonic() < deadline, [log.read_text() for log in logs]
            time.sleep(0.05)
    assert not any("Successfully registered" in log.read_text() for log in logs)
    assert "Registering worker" not in running.log(SPARK_MASTER).removeprefix(before)


@contextlib.contextmanager
def _stranger(topology: Topology, folder: Path, settings: dict[str, str]) -> Iterator[Path]:
    """A worker with other settings, and its log."""
    spark_settings.write(folder / "conf", settings)
    environment = spark_settings.environment(topology, folder / "conf", "127.0.0.1")
    command = [f"{environment['SPARK_HOME']}/bin/spark-class"]
    command += ["org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--webui-port", "0"]
    command += ["--work-dir", str(folder), topology.spark_master]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield log
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_master_that_died_remembers_its_workers(running: Running) -> None:
    before = running.runtime.pids()
    os.kill(before[SPARK_MASTER, 0], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while not running.runtime.deaths():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.runtime.start(running.topology, ROLES)
    after = running.runtime.pids()
    assert after[SPARK_WORKER, 0] == before[SPARK_WORKER, 0]
    while "Worker has been re-registered" not in running.log(SPARK_MASTER):
        assert time.monotonic() < deadline + 30, running.log(SPARK_MASTER)
        time.sleep(0.02)


def test_a_port_that_is_taken_is_not_answered_with_the_next_one(tmp_path: Path) -> None:
    with LocalRuntime(tmp_path / "cluster") as runtime:
        topology = runtime.make_topology("tests", 1, 1)
        with pytest.raises(EnvironmentFault, match=f"port .* is taken: the {SPARK_MASTER}"):
            _start_beside_a_listener(runtime, topology)


def _start_beside_a_listener(runtime: LocalRuntime, topology: Topology) -> None:
    address, port = topology.nodes[0].endpoint(SPARK_MASTER)
    runtime._ports.release(port)
    with socket.create_server((address, port)):
        runtime.start(topology, [SPARK_MASTER])


def test_a_role_without_java_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with LocalRuntime(tmp_path / "cluster") as runtime:
        topology = runtime.make_topology("tests", 1, 1)
        with pytest.raises(EnvironmentFault, match="needs Java 17 or 21, and JAVA_HOME=") as fault:
            runtime.start(topology, [SPARK_MASTER])
    assert "\n" not in str(fault.value)
