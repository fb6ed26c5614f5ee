"""A process that must not outlive whoever started it."""

from __future__ import annotations

import ctypes
import os

SUPERVISOR_VARIABLE = "CEREBRO_DS_SUPERVISOR"
"""Process id of whoever starts a process, so that it can tell that it was orphaned early."""

_PR_SET_PDEATHSIG = 1


def die_with_parent(number: int) -> None:
    """Have the kernel send this process signal ``number`` when the thread that forked it ends.

    A parent that was gone before the call is noticed too, and ends the process here. A change of
    user clears the request, so it must come after one; ``exec`` keeps it.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    supervisor = os.environ.get(SUPERVISOR_VARIABLE)
    if supervisor is not None and int(supervisor) != os.getppid():
        raise SystemExit(f"process {supervisor}, which started this one, has ended")
