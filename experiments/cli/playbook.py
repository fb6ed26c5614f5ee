"""A playbook in a process of Ansible's environment, whose events come as they happen."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.cli import environment, setup
from experiments.errors import ReproduceError
from experiments.paths import ANSIBLE, ANSIBLE_ENVIRONMENT, CHECKOUT

Event = Mapping[str, Any]

_MODULE = "experiments.cli.playbook_job"
_END_SECONDS = 15.0


def read_inventory(inventory: Path, options: Sequence[str], folder: Path) -> Event:
    """An inventory's hosts by group; or the event ``refused`` with what Ansible says."""
    job = {"kind": "inventory", "inventory": str(inventory), "options": list(options)}
    return list(_events(job, folder))[-1]


def play(
    playbook: str,
    inventory: Path,
    *,
    extra: Mapping[str, object],
    options: Sequence[str],
    folder: Path,
) -> Iterator[Event]:
    """Run a playbook of ``ansible/``; its events, ``ended`` last. Left early, it is ended.

    Parameters
    ----------
    extra : variables that win over the inventory's.
    options : of ``ansible-playbook``.
    folder : keeps artefacts of the last runs: events, output, command.
    """
    job = {
        "kind": "play",
        "playbook": playbook,
        "project": str(ANSIBLE),
        "inventory": str(inventory),
        "extra": dict(extra),
        "options": list(options),
        "folder": str(folder),
    }
    return _events(job, folder)


def make_environment(*, quiet: bool) -> None:
    """Make Ansible's environment, if it does not stand yet."""
    setup.add(environment.standard(ANSIBLE_ENVIRONMENT), setup.Progress(quiet))


def _events(job: Mapping[str, object], folder: Path) -> Iterator[Event]:
    python = environment.standard(ANSIBLE_ENVIRONMENT).python
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = folder / "job.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [str(python), "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            # A Ctrl-C at the terminal reaches only this process, which then ends the playbook.
            start_new_session=True,
            env={
                **os.environ,
                "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                "PYTHONPATH": str(CHECKOUT),
                "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
                "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true",
            },
        )
    assert process.stdin is not None
    assert process.stdout is not None
    last: Event = {}
    try:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            last = json.loads(line)
            yield last
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
    if last.get("event") not in {"ended", "inventory", "refused"}:
        raise ReproduceError(f"the process that runs Ansible ended early; its log is {log}")
