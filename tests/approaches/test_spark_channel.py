"""The way between driver and tasks: who is let in, and what comes back when it breaks."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.approaches import partition_files, spark_task
from experiments.approaches.parquet_shard import ParquetShard
from experiments.approaches.spark_channel import LONGEST, NAME, Channel, Place, frame
from experiments.errors import NotBegun, ServerDied
from experiments.models.worker import Report
from experiments.runtime.secrets import make_secrets

PATIENCE = 20.0
SHARDS = [ParquetShard("", "", partition, 1, (1,), 2) for partition in range(2)]


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    made = Channel("127.0.0.1", make_secrets(tmp_path / "secrets", ["127.0.0.1"]), 2)
    yield made
    made.close()
    made.close()
    for thread in threading.enumerate():
        if thread.name == "task":
            thread.join(PATIENCE)


@pytest.fixture(autouse=True)
def not_cancelled() -> Iterator[None]:
    """Tasks run in threads of this process here, and one that ends cancels its process."""
    yield
    partition_files._cancelled.clear()


def connected(place: Place) -> ssl.SSLSocket:
    """As a task connects, without saying anything yet."""
    context = ssl.create_default_context(cadata=place.authority)
    return context.wrap_socket(
        socket.create_connection((place.host, place.port), timeout=PATIENCE), server_hostname=NAME
    )


class Task:
    """A task in a thread of this process, with one step."""

    def __init__(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, step: Callable[..., Report]
    ) -> None:
        monkeypatch.setattr(spark_task, "steps_on", lambda _: {"step": step})
        self.ended: list[BaseException | None] = []
        self.thread = threading.Thread(target=self._run, args=(place,), name="task", daemon=True)
        self.thread.start()

    def _run(self, place: Place) -> None:
        try:
            spark_task.serve(place, SHARDS, 1)
        except Exception as error:  # noqa: BLE001
            self.ended.append(error)
        else:
            self.ended.append(None)


def ask(channel: Channel, *arguments: Any) -> dict[str, Any]:
    return channel.call(1, {"step": "step", "arguments": arguments}, PATIENCE)


def test_a_step_is_carried_out_and_a_task_ends_when_told(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(channel.place, monkeypatch, lambda *each: {"got": list(each)})
    assert ask(channel, 1, "zwei", None) == {"report": {"got": [1, "zwei", None]}}
    assert ask(channel) == {"report": {"got": []}}
    channel.close()
    task.thread.join(PATIENCE)
    assert task.ended == [None]


def test_what_fails_in_a_task_is_told(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Report:
        raise KeyError("weights")

    Task(channel.place, monkeypatch, fail)
    answer = ask(channel)
    assert (answer["error"], answer["text"]) == ("KeyError", "'weights'")
    assert "in fail" in answer["trace"]


def test_who_has_not_connected_is_not_begun_and_at_once(channel: Channel) -> None:
    start = time.monotonic()
    with pytest.raises(NotBegun, match="partition 0"):
        channel.call(0, {})
    assert time.monotonic() - start < PATIENCE


def test_a_task_that_dies_in_a_step_is_told_at_once(channel: Channel) -> None:
    def die() -> None:
        with connected(channel.place) as line:
            line.sendall(frame({"task": 1, "token": channel.place.token}))
            assert b"step" in line.recv(4096)

    dying = threading.Thread(target=die)
    dying.start()
    with pytest.raises(ServerDied, match="the task of partition 1 is gone"):
        ask(channel)
    dying.join()
    with pytest.raises(NotBegun):
        channel.call(1, {})


def test_cancelling_ends_calls_and_steps(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    running, stopped = threading.Event(), threading.Event()

    def step() -> Report:
        running.set()
        if partition_files._cancelled.wait(PATIENCE):
            stopped.set()
        return {}

    Task(channel.place, monkeypatch, step)

    def cancel() -> None:
        running.wait(PATIENCE)
        channel.cancel()

    caller = threading.Thread(target=cancel)
    caller.start()
    with pytest.raises(ServerDied, match="cancelled"):
        ask(channel)
    caller.join()
    assert stopped.wait(PATIENCE)


def test_a_task_whose_driver_is_gone_stops_and_fails(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(channel.place, monkeypatch, dict)
    ask(channel)
    for line in tuple(channel._lines.values()):
        channel._loop.call_soon_threadsafe(line.writer.transport.abort)
    task.thread.join(PATIENCE)
    (error,) = task.ended
    assert isinstance(error, ConnectionError)
    assert partition_files._cancelled.is_set()


@pytest.mark.parametrize(
    "hello",
    [
        frame({"task": 0}),
        frame({"task": 0, "token": "guess"}),
        frame({"token": "{token}", "task": 2}),
        frame({"token": "{token}", "task": "0"}),
        (LONGEST + 1).to_bytes(4, "big"),
        (3).to_bytes(4, "big") + b"[1]",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_strangers_are_hung_up_on(channel: Channel, hello: bytes) -> None:
    known = json.loads(hello[4:]) if b"token}" in hello else None
    if known is not None:
        hello = frame({**known, "token": channel.place.token})
    with connected(channel.place) as line:
        line.sendall(hello)
        assert line.recv(1) == b""
    assert not channel._lines


def test_bytes_in_the_clear_are_hung_up_on(channel: Channel) -> None:
    with socket.create_connection((channel.place.host, channel.place.port), PATIENCE) as line:
        line.sendall(frame({"task": 0, "token": channel.place.token}))
        assert line.recv(1) in {b"", b"\x15"}  # a TLS alert at most


def test_a_task_refuses_a_driver_of_another_authority(channel: Channel, tmp_path: Path) -> None:
    other = make_secrets(tmp_path / "other", ["127.0.0.1"])
    with pytest.raises(ssl.SSLCertVerificationError):
        spark_task.serve(replace(channel.place, authority=other.ca.read_text()), SHARDS, 0)


def test_the_token_shows_in_no_message(channel: Channel) -> None:
    assert channel.place.token not in repr(channel.place)
