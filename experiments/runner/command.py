"""``python -m experiments drive RUN_FOLDER`` as a process: exit codes and signals."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import traceback
from pathlib import Path

from experiments.errors import UserError
from experiments.lifetime import die_with_parent
from experiments.runtime.gpus import NO_GPU


def drive_command(arguments: list[str]) -> int:
    """Drive one run; 0 done, 1 failed, 2 the user can mend it (one last line), 130 interrupted.

    Drivers train nothing that could use a GPU, so they see none.
    """
    if len(arguments) != 1:
        print("error: usage: python -m experiments drive RUN_FOLDER", file=sys.stderr)
        return 2
    die_with_parent(signal.SIGTERM)
    os.environ.update(NO_GPU)
    from experiments.runner.drive import drive

    try:
        drive(Path(arguments[0]))
    except UserError as error:
        return _refuse(error)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the log is where the parent looks for the reason
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return _refuse(error)
        with contextlib.suppress(OSError):
            traceback.print_exc()
        return 1
    return 0


def _refuse(error: Exception) -> int:
    """Say in one line what the user can mend, unless the log lies on the disk that is full."""
    with contextlib.suppress(OSError):
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    return 2
