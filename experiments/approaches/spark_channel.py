"""The way between a driver and its tasks in Spark's executors: TLS, JSON in frames, no polling.

The driver listens, every task connects to it once. A task knows the driver by the cluster's own
authority; the driver knows its tasks by a token that only Spark's authenticated channel carries to
them. Messages are JSON, each after its length in four bytes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hmac
import json
import secrets
import socket
import ssl
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from experiments.errors import NotBegun, ServerDied
from experiments.specs.secrets import Secrets

Message = dict[str, Any]
T = TypeVar("T")

LONGEST = 2**24
HELLO_SECONDS = 10.0
GOODBYE_SECONDS = 0.5
NAME = "localhost"
"""The certificate's name for whichever address a driver listens on."""


@dataclass(frozen=True)
class Place:
    """Where a driver is and how it is known; ``token`` opens its door."""

    host: str
    port: int
    authority: str = field(repr=False)
    token: str = field(repr=False)


def frame(message: Mapping[str, Any]) -> bytes:
    """A message as it is sent."""
    data = json.dumps(message, allow_nan=False).encode()
    return len(data).to_bytes(4, "big") + data


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """The next message; None when the other end is gone.

    Raises
    ------
    ValueError
        The other end sends something else.
    """
    try:
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > LONGEST:
            raise ValueError(f"a message of {length} bytes")
        message = json.loads(await reader.readexactly(length))
    except (OSError, asyncio.IncompleteReadError):
        return None
    if isinstance(message, dict):
        return message
    raise ValueError("a message that is no object")


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and do not wait for the other end's goodbye for long."""
    writer.close()
    try:
        await asyncio.wait_for(writer.wait_closed(), GOODBYE_SECONDS)
    except (OSError, TimeoutError):
        writer.transport.abort()


@dataclass
class _Line:
    """A connected task."""

    writer: asyncio.StreamWriter
    answer: asyncio.Future[Message] | None = None


class Channel:
    """The driver's end. A task has one call at a time; calls come from any thread.

    Parameters
    ----------
    host : address to listen on, and nothing else.
    tasks : how many there are; they are numbered from 0.
    """

    def __init__(self, host: str, credentials: Secrets, tasks: int) -> None:
        self._token = secrets.token_hex(32)
        self._lines: dict[int, _Line] = {}
        self._running: set[asyncio.Task[Message]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="channel", daemon=True)
        self._thread.start()
        self._there = [asyncio.Event() for _ in range(tasks)]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(credentials.cert, credentials.key)
        self._server = self._wait(asyncio.start_server(self._meet, host, 0, ssl=context))
        port = self._server.sockets[0].getsockname()[1]
        self.place = Place(host, port, credentials.ca.read_text(), self._token)

    def call(self, task: int, message: Mapping[str, Any], patience: float = 0.0) -> Message:
        """Send a task a message and wait for its answer.

        Parameters
        ----------
        patience : seconds that the task has to connect.

        Raises
        ------
        NotBegun
            The task is not connected.
        ServerDied
            The task's process or connection ended meanwhile; or :meth:`cancel` was called.
        """
        future = asyncio.run_coroutine_threadsafe(
            self._start(self._call(task, message, patience)), self._loop
        )
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ServerDied(f"the call of task {task} was cancelled") from None

    def wait(self, task: int, patience: float) -> None:
        """Wait until a task is connected; :class:`NotBegun` if it does not come."""
        self._wait(self._await(task, patience))

    def cancel(self) -> None:
        """Tell all tasks to stop what they do, and end all calls at once."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._cancel)

    def close(self) -> None:
        """Tell all tasks to end and hang up. Safe to call again."""
        if self._loop.is_closed():
            return
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self, work: Coroutine[Any, Any, Message]) -> Message:
        running = asyncio.ensure_future(work)
        self._running.add(running)
        try:
            return await running
        finally:
            self._running.discard(running)

    async def _call(self, task: int, message: Mapping[str, Any], patience: float) -> Message:
        await self._await(task, patience)
        line = self._lines[task]
        line.answer = self._loop.create_future()
        line.writer.write(frame(message))
        return await line.answer

    async def _await(self, task: int, patience: float) -> None:
        there = self._there[task]
        try:
            if not there.is_set():
                await asyncio.wait_for(there.wait(), patience)
        except TimeoutError:
            raise NotBegun(f"the task of partition {task} is not there") from None

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A task's connection, from its first message to its end."""
        try:
            task = self._known(await asyncio.wait_for(receive(reader), HELLO_SECONDS))
        except (TimeoutError, ValueError):
            task = None
        if task is None:
            await hang_up(writer)
            return
        _keep_alive(writer)
        line = _Line(writer)
        before = self._lines.get(task)
        if before is not None:
            before.writer.close()
        self._lines[task] = line
        self._there[task].set()
        try:
            while (message := await receive(reader)) is not None:
                if line.answer is not None and not line.answer.done():
                    line.answer.set_result(message)
        except ValueError:
            pass  # hung up on like one that is gone
        finally:
            if self._lines.get(task) is line:
                del self._lines[task]
                self._there[task].clear()
            if line.answer is not None and not line.answer.done():
                line.answer.set_exception(ServerDied(f"the task of partition {task} is gone"))
            await hang_up(writer)

    def _known(self, hello: Message | None) -> int | None:
        """The number of a task that says hello; None for a stranger."""
        if hello is None or not hmac.compare_digest(str(hello.get("token")), self._token):
            return None
        task = hello.get("task")
        return task if isinstance(task, int) and 0 <= task < len(self._there) else None

    def _cancel(self) -> None:
        for line in self._lines.values():
            line.writer.write(frame({"cancel": True}))
        for running in tuple(self._running):
            running.cancel()

    async def _close(self) -> None:
        self._cancel()
        self._server.close()
        for line in tuple(self._lines.values()):
            line.writer.write(frame({"end": True}))
            line.writer.close()
        here = asyncio.current_task()
        rest = [each for each in asyncio.all_tasks() if each is not here]
        if rest:
            await asyncio.wait(rest, timeout=1.0)


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Notice within half a minute that the other machine is gone."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
