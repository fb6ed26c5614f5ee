"""``python -m experiments``: the commands of ``reproduce.py``, and the entry points of processes.

``role NAME --topology FILE --node I`` and ``drive RUN_FOLDER`` are what containers and local
processes run, ``gpus`` says which GPUs there are, ``pagefile inspect FILE`` what a database's file
holds; everything else is the user's command line.
"""

from __future__ import annotations

import os
import sys

from experiments.paths import pin_roots


def main(arguments: list[str]) -> int:
    """Dispatch; the exit code."""
    os.umask(0o022)  # database servers run as another user and must read what we make
    pin_roots()
    if arguments[:1] == ["role"]:
        from experiments.runtime.roles import command

        return command(arguments[1:])
    if arguments[:1] == ["drive"]:
        from experiments.runner.command import drive_command

        return drive_command(arguments[1:])
    if arguments[:1] == ["gpus"]:
        from experiments.runtime.gpus import command as gpus

        return gpus(arguments[1:])
    if arguments[:1] == ["pagefile"]:
        from experiments.cli.main import reported
        from experiments.warehouse.pagefile.inspect import command as pagefile

        return reported(lambda: pagefile(arguments[1:]))
    from experiments.cli.main import main as cli

    return cli(arguments)


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
