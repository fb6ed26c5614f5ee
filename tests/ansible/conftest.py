"""Ansible's environment, hosts to provision, and inventories of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from experiments.cli import environment, setup
from experiments.paths import ANSIBLE, ANSIBLE_ENVIRONMENT, CHECKOUT
from tests.ansible.hosts import Hosts, some_hosts


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder with Ansible's programs; the environment is made if need be."""
    home = environment.standard(ANSIBLE_ENVIRONMENT)
    setup.add(home, setup.Progress(quiet=True))
    return home.python.parent


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """A network, on which a test starts hosts."""
    with some_hosts() as made:
        yield made


def write_inventory(
    folder: Path, template: str, groups: Mapping[str, Mapping[str, Any]], variables: Any
) -> Path:
    """An inventory: one of ours with other hosts, and variables beside its own."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ANSIBLE / "inventories" / template, folder)
    (folder / "hosts.yml").unlink()
    listed = {group: {"hosts": dict(members)} for group, members in groups.items()}
    (folder / "hosts.json").write_text(json.dumps(listed))
    for group in listed:
        (folder / "group_vars" / f"{group}.json").write_text(json.dumps(variables))
    return folder


def reproduce(*arguments: str | Path, home: Path) -> subprocess.Popen[str]:
    """A start of ``reproduce.py`` with a state folder of its own."""
    home.mkdir(exist_ok=True)
    if not (home / "environments").exists():
        (home / "environments").symlink_to(environment.standard().root.parent.resolve())
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "experiments", *map(str, arguments)],
        env={**os.environ, "CEREBRO_DS_HOME": str(home), "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of a start."""
    output, errors = process.communicate(timeout=500)
    return process.returncode, output, errors
