"""What an error of the database means: a dead server, something the user can mend, or a failure."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import psycopg2

from experiments import errors
from experiments.errors import EnvironmentFault, ServerDied, UserError

_GONE_CLASSES = ("08", "58")
_GONE = ("57P01", "57P02", "57P03")
_DISK_FULL = "53100"
_IN_THE_WAY = ("42P07", "42809", "2BP01")
"""A table or view of a name that we need, which is not ours to replace."""
_OURS = re.compile(r"experiments\.errors\.(\w+): (.*)", re.DOTALL)


@contextlib.contextmanager
def translated(server: str) -> Iterator[None]:
    """Turn database errors of a block into what they mean; failures of the work stay as they are.

    Parameters
    ----------
    server : what the block speaks to, for messages.

    Raises
    ------
    ServerDied
        The server, or one that it needs, has ended, is starting or has dropped the connection.
    UserError
        The one that our code raised inside the server, a full disk, or a table in the way.
    """
    try:
        yield
    except psycopg2.Error as error:
        if _gone(error):
            raise ServerDied(f"{server}: {_line(error)}") from error
        mendable = _mendable(error, server)
        if mendable is None:
            raise
        raise mendable from error


def _gone(error: psycopg2.Error) -> bool:
    if error.pgcode is None:  # from the client's library, not from a server
        return not isinstance(error, psycopg2.ProgrammingError)
    return error.pgcode.startswith(_GONE_CLASSES) or error.pgcode in _GONE


def _mendable(error: psycopg2.Error, server: str) -> UserError | None:
    message = error.diag.message_primary or ""
    if error.pgcode == _DISK_FULL:
        return EnvironmentFault(f"{server} has no disk space left ({message})")
    if error.pgcode in _IN_THE_WAY:
        return EnvironmentFault(
            f"{server} holds what a run of ours did not make ({message}): "
            "drop that, or --fresh starts over with an empty database"
        )
    found = _OURS.match(message)
    kind = getattr(errors, found[1], None) if found else None
    if found is None or not (isinstance(kind, type) and issubclass(kind, UserError)):
        return None
    return kind(found[2])


def _line(error: psycopg2.Error) -> str:
    return " ".join(str(error).split())
