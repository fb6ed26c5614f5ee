"""How a process is known as a run's: by a mark in the environment that it was started with.

Whoever starts a role or a driver sets it, and what that starts inherits it.
"""

from __future__ import annotations

import os

MARK_VARIABLE = "CEREBRO_DS_MARK"
_START = f"{MARK_VARIABLE}=".encode()


def marked(cluster: str, role: str, node: int) -> dict[str, str]:
    """The variable for the environment of a role, or of the driver, of a cluster."""
    return {MARK_VARIABLE: f"{cluster}/{role}/{node}"}


def own_cluster(default: str) -> str:
    """The cluster that this process is marked with; the default where it is not."""
    mark = os.environ.get(MARK_VARIABLE)
    return mark.rpartition("/")[0].rpartition("/")[0] if mark else default


def group_in(environment: bytes, cluster: str) -> str | None:
    """``role-node`` of an environment as ``/proc`` shows it.

    Empty where another cluster's mark stands there, None where there is none: then the process may
    have overwritten its environment, as PostgreSQL's backends do.
    """
    for variable in environment.split(b"\0"):
        if variable.startswith(_START):
            name, role, node = variable[len(_START) :].decode(errors="replace").rsplit("/", 2)
            return f"{role}-{node}" if name == cluster else ""
    return None
