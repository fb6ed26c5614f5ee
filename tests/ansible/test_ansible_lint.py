"""Plays, inventories and Dockerfiles are as their linters want them, and plays can be read."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from experiments.paths import ANSIBLE, CHECKOUT

INVENTORIES = sorted(path.name for path in (ANSIBLE / "inventories").iterdir())


def run(tools: Path, *command: str | Path) -> str:
    """What a program of Ansible's environment says, which must end well."""
    done = subprocess.run(
        [tools / command[0], *command[1:]],
        cwd=ANSIBLE,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ansible_lint_finds_nothing(tools: Path) -> None:
    run(tools, "ansible-lint")


def test_yamllint_finds_nothing(tools: Path) -> None:
    run(tools, "yamllint", "--strict", ".")


def test_hadolint_finds_nothing(tools: Path) -> None:
    files = sorted(CHECKOUT.glob("images/*/Dockerfile"))
    assert len(files) == 6
    run(tools, "hadolint", "--config", CHECKOUT / ".hadolint.yaml", *files)


@pytest.mark.parametrize("inventory", INVENTORIES)
def test_plays_can_be_read_with_every_inventory(tools: Path, inventory: str) -> None:
    place = ANSIBLE / "inventories" / inventory
    run(tools, "ansible-playbook", "--syntax-check", "-i", place, "site.yml", "teardown.yml")


def test_the_example_is_planned_as_nine_hosts(tools: Path, tmp_path: Path) -> None:
    """Up to where hosts would be asked; there are none at these addresses."""
    place = ANSIBLE / "inventories" / "cluster.example"
    plan = tmp_path / "plan.yml"
    plan.write_text(
        "- hosts: all\n  gather_facts: false\n  roles: [cluster]\n  tasks:\n"
        "    - ansible.builtin.include_role: {name: cluster, tasks_from: plan}\n"
        "    - ansible.builtin.copy:\n"
        f"        content: '{{{{ cluster_plan | to_json }}}}'\n"
        f"        dest: {tmp_path / 'plan.json'}\n"
        "      run_once: true\n      delegate_to: localhost\n"
    )
    run(tools, "ansible-playbook", "-i", place, plan)
    made = json.loads((tmp_path / "plan.json").read_text())
    assert made["master"] == "master-0"
    assert [node["host"] for node in made["nodes"]] == [f"worker-{number}" for number in range(8)]
    assert len(made["addresses"]) == 9
    assert made["nodes"][7]["ports"] == {"segment": 21003, "worker": 21004, "spark-worker": 21005}


def test_the_example_names_every_variable_of_every_role() -> None:
    """A variable that nobody explains is one that nobody finds."""
    text = (ANSIBLE / "inventories" / "cluster.example" / "group_vars" / "all.yml").read_text()
    inner = {"cluster_topology_file", "cluster_scratch", "cluster_owner"}
    inner |= {"images_wanted", "images_saved", "images_file", "images_copy"}
    for file in sorted(ANSIBLE.glob("roles/*/defaults/main.yml")):
        role = file.parent.parent.name
        names = {
            line.partition(":")[0]
            for line in file.read_text().splitlines()
            if line.startswith(f"{role}_")
        }
        assert [name for name in sorted(names - inner) if name not in text and role != "node"] == []
