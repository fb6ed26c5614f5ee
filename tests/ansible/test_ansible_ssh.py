"""Three hosts over SSH: provisioned, again, run on, one replaced, run on again, all taken back."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.models import frameworks
from experiments.mop import invariants
from experiments.paths import CHECKOUT, RunFolder
from experiments.runtime import images
from experiments.specs.model import RunSpec
from experiments.specs.topology import Topology
from experiments.telemetry.journal import read
from tests.ansible.conftest import finish, reproduce, write_inventory
from tests.ansible.hosts import Hosts

CLUSTER = f"tests-{secrets.token_hex(4)}"
SUBNET = f"10.214.{secrets.randbelow(256)}.0/24"
"""Of this process: others may test beside it."""
OURS = {"label": f"cerebro-ds.cluster={CLUSTER}"}
RUN = """
import sys
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.load import run_spec
made = planned(run_spec("breakdown", sys.argv[1], "smoke", workers=3), runtime="cluster")
execute(made, lambda event: None)
print(made.name)
"""
LATE = "import time; time.time = (lambda now: lambda: now() - 300)(time.time)"
SITE = "/usr/lib/python3/dist-packages/late.pth"


@pytest.fixture(scope="module")
def three(hosts: Hosts, tools: Path) -> Iterator[Hosts]:
    images.ensure(hosts.client, images.IMAGES, print)
    for number in (1, 2, 3):
        hosts.start(f"host-{number}")
    yield hosts
    for each in ours(hosts):
        each.remove(**({"force": True} if hasattr(each, "kill") else {}))


@pytest.fixture
def inventory(three: Hosts) -> Any:
    """``inventory(nodes, drained, **variables)``: its path."""

    def write(nodes: tuple[int, ...], drained: tuple[int, ...] = (), **variables: Any) -> Path:
        names = [f"host-{number}" for number in nodes]
        common = {
            "cluster_name": CLUSTER,
            "cluster_subnet": SUBNET,
            "ansible_become_password": three.password,
            "cluster_environment": {frameworks.DETERMINISTIC_VARIABLE: "1"},
            **variables,
        }
        return write_inventory(
            three.folder / "inventory",
            "containers",
            {
                "master": {names[0]: {}},
                "nodes": {name: three.access(name) for name in names},
                "drained": {f"host-{each}": three.access(f"host-{each}") for each in drained},
            },
            common,
        )

    return write


def ours(hosts: Hosts) -> list[Any]:
    """What the engine has of the cluster."""
    client = hosts.client
    return [
        *client.containers.list(all=True, filters=OURS),
        *client.networks.list(filters=OURS),
        *client.volumes.list(filters=OURS),
    ]


def run(hosts: Hosts, home: Path, approach: str) -> str:
    """Carry out breakdown's run of an approach on the cluster; what its driver's log says."""
    programs = hosts.folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "ssh").write_text(
        "#!/bin/sh\n"
        f'exec {shutil.which("ssh")} -i {hosts.key} -o UserKnownHostsFile={hosts.known} "$@"\n'
    )
    (programs / "ssh").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT),
        "CEREBRO_DS_HOME": str(home),
        "CEREBRO_DS_ARTIFACTS": str(home / "artifacts"),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN, approach],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def left(hosts: Hosts) -> list[str]:
    """Its names."""
    return sorted(each.name for each in ours(hosts))


def refused(three: Hosts, *arguments: str | Path) -> str:
    """What a start that is refused says, in one line; nothing was made."""
    code, _, errors = finish(reproduce("--provision", *arguments, home=three.folder / "state"))
    told = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert code == 2, errors
    assert len(told) == 1
    assert errors.rstrip().endswith(told[0])
    assert left(three) == []
    return told[0]


def test_a_wrong_password_for_sudo_is_named(three: Hosts, inventory: Any) -> None:
    told = refused(three, inventory((1, 2, 3), ansible_become_password="wrong"))
    assert "password for sudo is missing or wrong" in told


def test_a_host_that_refuses_ssh_is_named(three: Hosts, inventory: Any) -> None:
    path = inventory((1, 2, 3))
    hosts = json.loads((path / "hosts.json").read_text())
    hosts["nodes"]["hosts"]["host-2"]["ansible_user"] = "nobody"
    (path / "hosts.json").write_text(json.dumps(hosts))
    told = refused(three, path)
    assert "host host-2 does not let Ansible in" in told
    assert "Permission denied" in told


def test_a_clock_that_is_off_is_named(three: Hosts, inventory: Any) -> None:
    three.run("host-3", f"echo '{LATE}' > {SITE}")
    told = refused(three, inventory((1, 2, 3)))
    three.run("host-3", f"rm {SITE}")
    assert re.search(r"host host-3: its clock is (29|30)\d s behind this machine's", told)


def test_a_port_that_is_taken_and_folders_that_are_one_are_named(
    three: Hosts, inventory: Any
) -> None:
    own = {"cluster_network": "host", "cluster_engine": "own", "cluster_storage": "nfs"}
    own["cluster_free_gigabytes"] = "1"
    path = inventory((1, 2, 3), cluster_nodes=2, **own)
    three.listen("host-3", 21014)
    told = refused(three, path, "--check")
    assert "host host-3: port 21014" in told
    assert "for the worker on node 5, is taken" in told
    told = refused(three, inventory((1, 2), cluster_nodes=2, cluster_folders=["/a", "/a"], **own))
    assert f"host host-1: nodes 0 and 1 have one data folder, /a/cerebro-ds-{CLUSTER}" in told


def test_gpus_without_a_toolkit_are_named(three: Hosts, inventory: Any) -> None:
    three.run("host-1", "printf '#!/bin/sh\\necho GPU-1\\n' > /usr/local/bin/nvidia-smi")
    three.run("host-1", "chmod +x /usr/local/bin/nvidia-smi")
    told = refused(three, inventory((1, 2, 3)))
    assert "host host-1: it has 1 GPU and not the NVIDIA container toolkit" in told
    three.run("host-1", "rm /usr/local/bin/nvidia-smi")


def test_secrets_need_the_vaults_password(three: Hosts, inventory: Any, tools: Path) -> None:
    path = inventory((1, 2, 3))
    secret = path / "group_vars" / "all"
    secret.mkdir()
    (path / "group_vars" / "all.yml").rename(secret / "vars.yml")
    vault, password = secret / "vault.yml", three.folder / "password"
    vault.write_text("ansible_become_password: whatever\n")
    password.write_text("correct\n")
    encrypt = [tools / "ansible-vault", "encrypt", "--vault-password-file", password, vault]
    subprocess.run(encrypt, check=True, capture_output=True)
    assert "add --vault-password-file FILE" in refused(three, path)
    other = three.folder / "other"
    other.write_text("wrong\n")
    told = refused(three, path, "--vault-password-file", other)
    assert "is not that of the vault" in told


def test_a_cluster_comes_changes_and_goes(three: Hosts, inventory: Any) -> None:
    home = three.folder / "state"
    path = inventory((1, 2, 3))

    # Interrupted half way; the same command finishes it.
    start = reproduce("--provision", path, home=home)
    assert start.stderr is not None
    for line in start.stderr:
        if line.startswith("Make hosts ready"):
            break
    start.send_signal(signal.SIGINT)
    assert finish(start)[0] == 130
    code, output, errors = finish(reproduce("--provision", path, home=home))
    assert code == 0, errors
    assert f"cluster {CLUSTER}: 3 nodes on 3 hosts" in output
    made = left(three)
    assert len(made) == 3 * (1 + 3 + 1 + 2) + 3 + 2  # a sampler on every node
    topology = Topology.read(home / "cluster" / "topology.json")
    assert [node.engine for node in topology.nodes] == [
        f"ssh://tester@{three.address(f'host-{number}')}:22" for number in (1, 2, 3)
    ]

    # A run on it, whose journal is here as if it had been here all along.
    folder = RunFolder(home / "artifacts" / "runs" / run(three, home, "ctq"))
    events = list(read(folder.journal))
    models = len(RunSpec.from_json(json.loads(folder.run.read_text())["spec"]).configs)
    invariants.check(events, models, 3, [1])
    assert events[-1].kind == "run_finished"
    assert len(list(folder.models.iterdir())) == models
    assert json.loads(folder.run.read_text())["runtime"]["kind"] == "cluster"
    sampled = sorted(path.name for path in folder.telemetry.iterdir())
    assert sampled == [f"node-{node}.parquet" for node in range(3)]
    assert left(three) == made
    ids = {each.name: each.id for each in three.client.containers.list(all=True, filters=OURS)}

    # One host is replaced: its node's containers are made anew through the other; on a host that
    # was as it should be, nothing is changed.
    three.start("host-4")
    path = inventory((1, 2, 4), drained=(3,))
    code, output, errors = finish(reproduce("--provision", path, home=home))
    assert code == 0, errors
    assert re.search(r"host-2: done \(\d+ tasks, 0 changed\)", errors)
    assert left(three) == made
    now = {each.name: each for each in three.client.containers.list(all=True, filters=OURS)}
    anew = {name for name in ids if now[name].id != ids[name]}
    assert anew == {name for name in ids if name.endswith("-2")}
    assert now[f"cerebro-ds-{CLUSTER}-segment-2"].labels["cerebro-ds.host"] == "host-4"
    topology = Topology.read(home / "cluster" / "topology.json")
    assert topology.nodes[2].engine == f"ssh://tester@{three.address('host-4')}:22"

    run(three, home, "cerebro-standalone")

    # Nothing is left.
    arguments = ("--provision", path, "--teardown")
    code, _, errors = finish(reproduce(*arguments, home=home))
    assert (code, "add --yes" in errors) == (2, True)
    code, output, errors = finish(reproduce(*arguments, "--yes", home=home))
    assert code == 0, errors
    assert left(three) == []
    assert not (home / "cluster" / "topology.json").exists()
