"""``python -m experiments``: the commands of ``reproduce.py``, and the entry points of processes.

``role NAME --topology FILE --node I`` and ``drive RUN_FOLDER`` are what containers and local
processes run, ``hold`` and ``draw FIGURE SCALE RUN_FOLDER ...`` what only containers do, ``images``
is ``images/build``, ``gpus`` says which GPUs there are, ``pagefile inspect FILE`` what a database's
file holds; everything else is the user's command line.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping

from experiments.paths import pin_roots

ENTRIES: Mapping[str, tuple[str, str, bool]] = {
    "role": ("experiments.runtime.roles", "command", False),
    "hold": ("experiments.runtime.holder", "hold", False),
    "drive": ("experiments.runner.command", "drive_command", False),
    "draw": ("experiments.cli.drawing", "draw_command", True),
    "gpus": ("experiments.runtime.gpus", "command", False),
    "images": ("experiments.cli.images", "command", True),
    "pagefile": ("experiments.warehouse.pagefile.inspect", "command", True),
}
"""First word: module and function that answer, and whether a person reads what goes wrong."""


def main(arguments: list[str]) -> int:
    """Dispatch; the exit code."""
    os.umask(0o022)  # database servers run as another user and must read what we make
    pin_roots()
    word = arguments[0] if arguments else ""
    if word not in ENTRIES:
        from experiments.cli.main import main as cli

        return cli(arguments)
    module, name, told = ENTRIES[word]
    command = getattr(importlib.import_module(module), name)
    if not told:
        return int(command(arguments[1:]))
    from experiments.cli.main import reported

    return reported(lambda: int(command(arguments[1:])))


if __name__ == "__main__":
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    except SystemExit as done:  # --help and --version
        code = int(done.code or 0)
    except BrokenPipeError:  # the reader, head for example, has seen enough
        code = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads, or the log's disk is full; the exit code has to tell
        os._exit(code or 1)
    sys.exit(code)
