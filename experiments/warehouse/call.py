"""The driver's side of ``CALL madlib.fit_multiple``: start it, hear it, and call again."""

from __future__ import annotations

import contextlib
import json
import select
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import psycopg2
import psycopg2.extensions

from experiments.errors import ReproduceError
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.coordinator import TAG
from experiments.warehouse.dialect import literal
from experiments.warehouse.procedure import SQLSTATES
from experiments.warehouse.server import DATABASE, SUPERUSER

Message = Mapping[str, Any]
"""A notice of the procedure: ``event``, ``at`` (coordinator's clock) and what the event has."""

APPLICATION = "cerebro-ds-fit"
"""Name of the call's sessions, on the coordinator and on the segments."""

RETURN_SECONDS = 60.0
"""How long servers that went away are waited for."""

FRUITLESS_CALLS = 3
"""So many calls in a row that lose a server before anything is finished end the run."""

_LOST = ("08", "57P")
"""SQLSTATE classes of a connection that broke and of a server that was shut down or crashed."""


class Call:
    """A ``CALL`` that goes on until it is done, whatever server goes away in between.

    Parameters
    ----------
    job : makes the job, whenever a call starts; it knows what has been heard until then.
    """

    def __init__(self, cluster: Cluster, job: Callable[[], Mapping[str, Any]]) -> None:
        self._cluster = cluster
        self._job = job
        self._connection: Any = None
        self._cursor: Any = None
        self._notices: deque[str] = deque()
        self._fruitless = 0
        self._error: psycopg2.Error | None = None
        self._over = False

    def start(self) -> None:
        """Call, after every session of an earlier call has ended; servers that died are waited for.

        A call that is done is followed by the next in its own session, where models are built.

        Raises
        ------
        EnvironmentFault
            A server does not answer within :data:`RETURN_SECONDS`; the message names it.
        """
        if self._over:
            with contextlib.suppress(psycopg2.OperationalError, psycopg2.InterfaceError):
                self._begin()
                return
            self._connection.close()
        deadline = time.monotonic() + RETURN_SECONDS
        while True:
            try:
                self._start()
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def _start(self) -> None:
        self._cluster.end_sessions(APPLICATION, RETURN_SECONDS)
        options = f"-c postgres_fdw.application_name={APPLICATION}"
        address, port = self._cluster.coordinator
        self._notices = deque()
        self._connection = psycopg2.connect(
            host=address,
            port=port,
            user=SUPERUSER,
            password=self._cluster.password,
            dbname=DATABASE,
            application_name=APPLICATION,
            options=options,
            async_=1,
        )
        self._connection.notices = self._notices
        while not self._ready():
            pass
        self._cursor = self._connection.cursor()  # psycopg2 keeps only a weak reference
        self._begin()

    def _begin(self) -> None:
        self._error, self._over = None, False
        self._cursor.execute(f"CALL madlib.fit_multiple({literal(self._job())})")

    def receive(self) -> Message | None:
        """The next message, as soon as it is there; None when the call is done.

        Raises
        ------
        UserError
            What the procedure says the user can mend.
        ReproduceError
            Another error of the server, with what it says; or servers go away again and again.
        """
        while True:
            while self._notices:
                message = _message(self._notices.popleft())
                if message is not None:
                    if message["event"] == "finished":
                        self._fruitless = 0
                    return message
            # What was said before the end, or before an error, is heard first.
            if self._error is not None:
                self._after(self._error)
            elif self._over:
                return None
            else:
                try:
                    self._over = self._ready()
                except psycopg2.Error as error:
                    self._error = error

    def cancel(self) -> None:
        """Stop what runs, here and on the segments. Safe when nothing does."""
        if self._connection is not None and not self._connection.closed:
            with contextlib.suppress(psycopg2.Error):
                self._connection.cancel()

    def close(self) -> None:
        """Cancel and let go of the session."""
        self.cancel()
        if self._connection is not None:
            self._connection.close()

    def _ready(self) -> bool:
        """Wait for the next thing that the server sends; whether it is done with the command."""
        state = self._connection.poll()
        if state == psycopg2.extensions.POLL_OK:
            return True
        descriptor = self._connection.fileno()
        if state == psycopg2.extensions.POLL_READ:
            select.select([descriptor], [], [])
        else:
            select.select([], [descriptor], [])
        return False

    def _after(self, error: psycopg2.Error) -> None:
        """Call again if a server went away; otherwise raise what the error means."""
        code = error.pgcode or ""
        for kind, known in SQLSTATES.items():
            if code == known:
                raise kind(error.diag.message_primary) from None
        lost = code.startswith(_LOST) if code else self._connection.closed
        if not lost or isinstance(error, psycopg2.extensions.QueryCanceledError):
            raise ReproduceError(f"training in the database failed: {error}") from error
        self._fruitless += 1
        if self._fruitless > FRUITLESS_CALLS:
            raise ReproduceError(
                f"{self._fruitless} calls in a row lost a server before a unit was finished; the "
                f"last one said: {' '.join(str(error).split())}"
            ) from error
        self._connection.close()
        self.start()


def _message(notice: str) -> Message | None:
    """The procedure's message in a notice, if it is one of its."""
    _, tag, text = notice.partition(TAG)
    if not tag:
        return None
    message: Message = json.loads(text)
    return message
