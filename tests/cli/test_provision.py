"""``--provision``: what is refused before Ansible is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.cli import provision
from experiments.cli.host_lines import HostLines
from experiments.cli.main import main
from experiments.paths import ANSIBLE


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--provision", "clustr.example"], "did you mean 'cluster.example'"),
        (["--provision", "local", "--vault-password-file", "/no/such"], "there is no such file"),
        (["--list", "--teardown"], "--teardown goes with --provision INVENTORY"),
        (["--list", "--vault-password-file", "x"], "--vault-password-file goes with --provision"),
        (["--provision", "local", "--list"], "one command at a time"),
        (["--figure", "9b", "--runtime", "cluster"], "--provision INVENTORY makes one"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert complaint in told
    assert told.count("\n") == 1


def test_inventories_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    assert provision.find("local") == ANSIBLE / "inventories" / "local"
    assert provision.find(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("Task failed: Module failed: it has\n no room.", "it has no room"),
        ("[WARNING]: old\n[ERROR]: the inventory is empty\nmore", "the inventory is empty"),
    ],
)
def test_what_ansible_says_becomes_one_line(said: str, line: str) -> None:
    assert provision.short(said) == line


def test_every_host_has_a_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with HostLines(["a", "b"], quiet=False) as lines:
        lines.take({"event": "play", "name": "Make hosts ready"})
        lines.take({"event": "task", "host": "a", "role": "storage", "task": "Use the disks"})
        lines.take({"event": "result", "host": "a", "state": "changed"})
        lines.take({"event": "result", "host": "b", "state": "failed"})
    assert lines.changes == 1
    assert capsys.readouterr().err.splitlines() == [
        "Make hosts ready",
        "    a: done (1 tasks, 1 changed)",
        "    b: done (0 tasks, 0 changed, 1 failed)",
    ]
