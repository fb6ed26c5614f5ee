"""Ranks tell each other something through files in the folder that they share.

For ranks that do not have torch. It is a barrier too: nobody goes on before all have come.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from experiments.errors import ServerDied
from experiments.files import write_atomically
from experiments.models.process_group import MEET_SECONDS, STEP_SECONDS, Group

LOOK_SECONDS = 0.002
"""How often a rank looks whether the others have come."""

READY = "ready"
"""The occasion of meeting, which is waited for as long as a meeting; others are as a step."""


def gather(group: Group, what: str, text: str, check: Callable[[], None]) -> list[str]:
    """What every rank says, in order of the ranks.

    Parameters
    ----------
    what : names the occasion, :data:`READY` or another; a group has each once.
    check : called while it waits; what it raises ends the wait.

    Raises
    ------
    ServerDied
        Some ranks did not come in time; the message names them.
    """
    paths = [group.folder / f"group-{group.name}.{what}-{rank}" for rank in range(group.size)]
    write_atomically(paths[group.rank], text)
    seconds = MEET_SECONDS if what == READY else STEP_SECONDS
    end = time.monotonic() + seconds
    missing = list(range(group.size))
    while missing := [rank for rank in missing if not paths[rank].exists()]:
        check()
        if time.monotonic() > end:
            names = ", ".join(f"rank {rank}" for rank in missing)
            raise ServerDied(f"{names} did not meet rank {group.rank} within {seconds:g} s")
        time.sleep(LOOK_SECONDS)
    return [path.read_text(encoding="ascii") for path in paths]
