"""Samplers against load that is known: a busy core, bytes written, bytes sent. Counters decide."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments.telemetry.devices import Disks
from experiments.telemetry.marks import marked
from experiments.telemetry.network import CLUSTER, CONTROL, LOOPBACK, Interfaces
from experiments.telemetry.proc import Machine
from experiments.telemetry.processes import Processes

CLUSTER_NAME = f"known-load-{os.getpid()}"
MEGABYTE = 2**20
MACHINE_US = 100_000
"""Of a second on one core the machine's counters see at least this: they are sampled at ticks."""
WRITTEN, SENT = 200 * MEGABYTE, 100 * MEGABYTE

BURN = """
import time
while time.process_time() < 1.0:
    pass
"""
WRITE = f"""
import os, sys
with open(sys.argv[1], "wb") as file:
    for _ in range(200):
        file.write(os.urandom({MEGABYTE}))
    os.fsync(file.fileno())
"""
SAY_AND_WAIT = """
print("done", flush=True)
sys.stdin.read()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python programs that say a line when their work is done; ends them in the end."""
    started: list[subprocess.Popen[str]] = []

    def go(program: str, *arguments: str, mark: bool = True) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", f"import sys\n{program}\n{SAY_AND_WAIT}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(marked(CLUSTER_NAME, "worker", 3) if mark else {})},
        )
        started.append(process)
        return process

    yield go
    for process in started:
        process.kill()
        process.communicate()


def wait(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"


def let_end(process: subprocess.Popen[str]) -> None:
    process.communicate()


def test_a_core_that_burns_for_a_second_is_its_roles(start: Start) -> None:
    machine, processes = Machine(), Processes(CLUSTER_NAME)
    before, nothing = machine.read()[""], processes.read()
    assert nothing == {}
    process = start(BURN)
    wait(process)
    found = processes.read()["worker-3"]
    after = machine.read()[""]
    # To two ticks of the kernel's clock; starting Python is a part of it.
    assert 980_000 <= found["cpu_us"] <= 1_500_000
    assert found["processes"] == 1
    assert found["resident_bytes"] > found["private_bytes"] > MEGABYTE
    assert after["user_us"] - before["user_us"] >= MACHINE_US
    let_end(process)
    assert processes.read()["worker-3"]["cpu_us"] >= found["cpu_us"]  # also when it has ended
    assert "processes" not in processes.read()["worker-3"]


def test_a_neighbour_is_not_counted_as_the_runs(start: Start) -> None:
    machine, processes = Machine(), Processes(CLUSTER_NAME)
    before = machine.read()[""]
    wait(start(BURN, mark=False))
    assert processes.read() == {}
    assert machine.read()[""]["user_us"] - before["user_us"] >= MACHINE_US


def test_what_was_written_is_counted_for_its_role_and_its_device(start: Start) -> None:
    # Not pytest's folder, which may be in memory.
    folder = Path("/var/tmp") / f"cerebro-ds-written-{os.getpid()}"
    folder.mkdir()
    try:
        disks, processes = Disks(), Processes(CLUSTER_NAME)
        before = sum(each["write_bytes"] for each in disks.read().values())
        wait(start(WRITE, str(folder / "file")))
        written = processes.read()["worker-3"]["write_bytes"]
        assert WRITTEN <= written <= WRITTEN + 2 * MEGABYTE
        if _in_memory(folder) or disks.reason:
            pytest.skip(f"{folder} lies on no block device here {disks.reason}")
        after = sum(each["write_bytes"] for each in disks.read().values())
        assert after - before >= WRITTEN  # others may have written too
    finally:
        shutil.rmtree(folder)


def _in_memory(folder: Path) -> bool:
    kind = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return kind in {"tmpfs", "overlayfs"}


SEND = f"""
import socket
with socket.create_connection(("10.211.7.2", 4000)) as end:
    for _ in range(100):
        end.sendall(bytes({MEGABYTE}))
    end.shutdown(socket.SHUT_WR)
    end.recv(1)
"""
RECEIVE = """
import socket
with socket.create_server(("10.211.7.2", 4000)) as server:
    print("listening", flush=True)
    end, _ = server.accept()
    while end.recv(1 << 20):
        pass
    end.send(b".")
"""


def inside(pid: int, *command: str) -> list[str]:
    return ["nsenter", "--target", str(pid), "--net", *command]


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """Two processes in network namespaces of their own that a veth pair joins."""
    holders = [
        subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    try:
        if any(holder.stdout is None or not holder.stdout.readline() for holder in holders):
            pytest.skip("no network namespace can be made here")
        one, two = (holder.pid for holder in holders)
        for number, (pid, command) in enumerate(
            (
                (one, ["link", "add", "left", "type", "veth", "peer", "right", "netns", str(two)]),
                (one, ["address", "add", "10.211.7.1/24", "dev", "left"]),
                (one, ["link", "set", "left", "up"]),
                (two, ["address", "add", "10.211.7.2/24", "dev", "right"]),
                (two, ["link", "set", "right", "up"]),
            )
        ):
            done = subprocess.run(
                inside(pid, "ip", *command), check=False, capture_output=True, text=True
            )
            if done.returncode and not number:
                pytest.skip(f"no veth pair can be made here: {done.stderr.strip()}")
            assert not done.returncode, done.stderr
        yield one, two
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def test_what_crosses_a_veth_pair_is_counted_by_direction(pair: tuple[int, int]) -> None:
    one, two = pair
    seen = [Interfaces("10.211.7.2", Path(f"/proc/{pid}/net/dev")) for pid in pair]
    sender, receiver = (each.read() for each in seen)
    python = [sys.executable, "-c"]
    with subprocess.Popen(inside(two, *python, RECEIVE), stdout=subprocess.PIPE) as receiving:
        assert receiving.stdout is not None
        receiving.stdout.readline()
        subprocess.run(inside(one, *python, SEND), check=True)
    sent = seen[0].read()["left"]["sent_bytes"] - sender["left"]["sent_bytes"]
    received = seen[1].read()["right"]["received_bytes"] - receiver["right"]["received_bytes"]
    assert SENT <= received <= 1.1 * SENT  # headers, and what was sent twice
    assert received <= sent <= 1.1 * SENT
    back = seen[1].read()["right"]["sent_bytes"] - receiver["right"]["sent_bytes"]
    assert back < 0.1 * SENT


def test_interfaces_are_told_apart_by_the_nodes_address() -> None:
    assert Interfaces("127.0.0.1").kinds()["lo"] == CLUSTER
    elsewhere = Interfaces("192.0.2.1").kinds()
    assert elsewhere["lo"] == LOOPBACK
    assert set(elsewhere.values()) <= {LOOPBACK, CONTROL}
