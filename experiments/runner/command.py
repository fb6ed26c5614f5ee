"""``python -m experiments drive RUN_FOLDER`` as a process: exit codes and signals."""

from __future__ import annotations

import signal
import sys
import traceback
from pathlib import Path

from experiments.errors import UserError
from experiments.lifetime import die_with_parent


def drive_command(arguments: list[str]) -> int:
    """Drive one run; 0 done, 1 failed, 2 the user can mend it (one last line), 130 interrupted."""
    if len(arguments) != 1:
        print("error: usage: python -m experiments drive RUN_FOLDER", file=sys.stderr)
        return 2
    die_with_parent(signal.SIGTERM)
    from experiments.runner.drive import drive

    try:
        drive(Path(arguments[0]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:  # noqa: BLE001 - the log is where the parent looks for the reason
        traceback.print_exc()
        return 1
    return 0
