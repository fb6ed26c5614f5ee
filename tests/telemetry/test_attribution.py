"""Whose a process is, and that a role's counters never fall."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.telemetry.marks import MARK_VARIABLE, group_in, marked, own_cluster
from experiments.telemetry.processes import Processes

CLUSTER = f"attribution-{os.getpid()}"
PARENT = """
import subprocess, sys
burn = "import time\\nwhile time.process_time() < 0.3: pass\\nprint(flush=True)\\ninput()"
child = subprocess.Popen(
    [sys.executable, "-c", burn], env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
child.stdout.readline()
print(child.pid, flush=True)
input()
child.communicate(b"\\n")
print("ended", flush=True)
input()
"""


def test_a_child_without_a_mark_is_its_nearest_ancestors_and_stays_counted() -> None:
    """As PostgreSQL's backends, which overwrite their environment."""
    processes = Processes(CLUSTER)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **marked(CLUSTER, "segment", 1)},
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        both = processes.read()["segment-1"]
        assert both["processes"] == 2
        assert processes.group_of(child) == processes.group_of(parent.pid) == "segment-1"
        assert processes.group_of(os.getpid()) is None
        print(file=parent.stdin, flush=True)
        parent.stdout.readline()
        one = processes.read()["segment-1"]
        assert one["processes"] == 1
        assert one["cpu_us"] >= both["cpu_us"] >= 300_000
        parent.kill()
    assert processes.read()["segment-1"]["cpu_us"] >= one["cpu_us"]


def test_another_clusters_processes_are_others() -> None:
    processes = Processes(CLUSTER)
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **marked("another", "worker", 0)},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert processes.read() == {}
        process.kill()


def test_marks_are_read_as_they_were_written(monkeypatch: pytest.MonkeyPatch) -> None:
    (value,) = marked("a/b", "worker-scheduler", 0).values()
    environment = b"HOME=/root\0" + f"{MARK_VARIABLE}={value}".encode() + b"\0"
    assert group_in(environment, "a/b") == "worker-scheduler-0"
    assert group_in(environment, "c") == ""
    assert group_in(b"postgres: checkpointer\0\0\0", "a/b") is None
    monkeypatch.setenv(MARK_VARIABLE, value)
    assert own_cluster("other") == "a/b"
    monkeypatch.delenv(MARK_VARIABLE)
    assert own_cluster("other") == "other"


def test_what_may_not_be_read_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's ``io`` is refused; the rest of the process is counted."""
    folder = tmp_path / "77"
    folder.mkdir()
    fields = ["S", "1", *["0"] * 9, "10", "5", "0", "0", "0", "0", "4", *["0"] * 20]
    (folder / "stat").write_text(f"77 (a b) {' '.join(fields)}")
    (folder / "statm").write_text("100 50 20 0 0 0 0")
    (folder / "environ").write_text(f"{MARK_VARIABLE}=c/worker/0\0")
    (folder / "io").write_text("")
    opened = os.open

    def refuse(path: object, *arguments: int) -> int:
        if str(path).endswith("/io"):
            raise PermissionError(13, "Permission denied")
        return opened(str(path), *arguments)

    monkeypatch.setattr(os, "open", refuse)
    processes = Processes("c", tmp_path)
    found = processes.read()["worker-0"]
    assert found["cpu_us"] == 15 * 1_000_000 // os.sysconf("SC_CLK_TCK")
    assert found["threads"] == 4
    assert "read_bytes" not in found
    assert "Permission denied" in processes.unreadable["worker-0"]
