"""The command that carries a role: what it refuses, and how it says so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.errors import SpecError
from experiments.lifetime import SUPERVISOR_VARIABLE
from experiments.paths import CHECKOUT
from experiments.runtime import roles
from experiments.runtime.started import USER_ERROR_STATUS
from experiments.specs.topology import ROLES, SCHEDULER, STARTED_ROLES, Node, Topology


@pytest.fixture
def topology_file(tmp_path: Path) -> Path:
    ports = dict(zip(ROLES, range(5001, 5001 + len(ROLES)), strict=True))
    node = Node(0, "127.0.0.1", tmp_path / "data", ports)
    path = tmp_path / "topology.json"
    Topology("one", tmp_path / "secrets", 1, (node,)).write(path)
    return path


def role(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments", "role", *arguments],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_every_role_has_its_function() -> None:
    assert tuple(roles.ROLES) == STARTED_ROLES


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cordinator", "did you mean 'coordinator'?"),
        ("worker-schedular", "did you mean 'worker-scheduler'?"),
        ("xyz", f"expected one of {', '.join(STARTED_ROLES)}"),
    ],
)
def test_an_unknown_role_is_answered_with_the_nearest(
    name: str, hint: str, topology_file: Path
) -> None:
    with pytest.raises(SpecError, match=re.escape(f"unknown role {name!r}: {hint}")):
        roles.main(name, topology_file, 0)


def test_a_bad_command_is_one_line_and_status_2(topology_file: Path) -> None:
    done = role(SCHEDULER, "--topology", str(topology_file), "--node", "3")
    assert done.returncode == USER_ERROR_STATUS
    assert done.stderr == (f"error: {topology_file}: role {SCHEDULER} runs on node 0, not on 3\n")


def test_a_bad_topology_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = role(SCHEDULER, "--topology", str(tmp_path / "no.json"), "--node", "0")
    assert done.returncode == USER_ERROR_STATUS
    assert done.stderr.count("\n") == 1
    assert "no.json: cannot be read" in done.stderr


def test_a_role_whose_parent_ended_before_it_began_ends_too(topology_file: Path) -> None:
    arguments = (SCHEDULER, "--topology", str(topology_file), "--node", "0")
    done = role(*arguments, **{SUPERVISOR_VARIABLE: "999999999"})
    assert done.returncode == 1
    assert "process 999999999, which started this one, has ended" in done.stderr


def test_the_command_line_does_not_import_distributed() -> None:
    code = "import sys, experiments.runtime.local; sys.exit('distributed' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=30)
