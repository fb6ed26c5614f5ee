"""``--provision INVENTORY``: make hosts ready for ``--runtime cluster``, or take that back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.cli import playbook
from experiments.cli.host_lines import HostLines
from experiments.cli.setup import Progress
from experiments.errors import EnvironmentFault, SpecError
from experiments.paths import ANSIBLE, state
from experiments.runtime import engine, image_archive, images
from experiments.runtime.lock import FolderLock
from experiments.runtime.provisioned import topology_file
from experiments.specs.load import nearest
from experiments.specs.topology import Topology

IMAGES = ("segment", "spark", "worker", "experiment")
"""What a cluster's engines need; the last one where runs are driven from."""

_PREFIX = re.compile(r"^(?:\[?ERROR\]?:? ?!? ?|Task failed: |Module failed: |Action failed: )+")
_LONGEST = 400


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes
    ----------
    inventory : name of one of ``ansible/inventories``, or path of another.
    teardown : remove the cluster instead.
    check : only tell what would change.
    vault : file with the password of the inventory's secrets.
    ask : before a cluster is removed.
    """

    inventory: str
    teardown: bool = False
    check: bool = False
    vault: Path | None = None
    quiet: bool = False
    ask: bool = True


def provision(request: Request) -> int:
    """Carry out a request; the exit code.

    Raises
    ------
    SpecError
        There is no such inventory.
    EnvironmentFault
        What Ansible could not do, in one line with host and task.
    """
    inventory = find(request.inventory)
    if request.vault is not None and not request.vault.is_file():
        raise SpecError(f"--vault-password-file {request.vault}: there is no such file")
    playbook.make_environment(quiet=request.quiet)
    here = state().cluster
    lock = FolderLock(here)
    lock.take()
    try:
        return _carry_out(request, inventory, here)
    finally:
        lock.release()


def find(name: str) -> Path:
    """The inventory of a name or at a path.

    Raises
    ------
    SpecError
        There is none; the message names the nearest.
    """
    known = sorted(path.name for path in (ANSIBLE / "inventories").iterdir())
    if name in known:
        return ANSIBLE / "inventories" / name
    if Path(name).exists():
        return Path(name).absolute()
    raise nearest("inventory", name, known)


def _carry_out(request: Request, inventory: Path, here: Path) -> int:
    options = (
        [] if request.vault is None else ["--vault-password-file", str(request.vault.absolute())]
    )
    folder = here / "ansible"
    found = playbook.read_inventory(inventory, options, folder)
    if found["event"] == "refused":
        raise EnvironmentFault(_refusal(request, found["reason"]))
    hosts = list(dict.fromkeys(host for group in found["groups"].values() for host in group))
    if request.teardown and request.ask and not request.check and not _agreed(hosts):
        print("nothing removed")
        return 0
    topology = topology_file()
    extra = {
        "cluster_topology_file": str(topology),
        # Not the state folder alone: what cleans that up must leave a cluster standing.
        "cluster_owner": str(here),
        "cluster_scratch": str(here),
        "images_built": {} if found["images_wanted"] else _images(request, found["images_archive"]),
    }
    options += ["--check"] if request.check else []
    name = "teardown.yml" if request.teardown else "site.yml"
    failures: list[Mapping[str, Any]] = []
    ended: Mapping[str, Any] = {}
    with HostLines(hosts, quiet=request.quiet) as lines:
        events = playbook.play(name, inventory, extra=extra, options=options, folder=folder)
        with closing(events):  # type: ignore[type-var]
            for event in events:
                lines.take(event)
                if event.get("state") in {"failed", "unreachable"}:
                    failures.append(event)
                if event["event"] == "ended":
                    ended = event
        if ended["code"] != 0:
            raise EnvironmentFault(_failure(request, failures, ended, folder))
    _tell(request, topology, lines.changes, len(hosts))
    return 0


def _agreed(hosts: Sequence[str]) -> bool:
    print(f"would remove our containers, volumes and data from {', '.join(hosts)}")
    try:
        return input("go on? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        raise SpecError("--teardown asks and nobody answers: add --yes") from None


def _images(request: Request, archive: str) -> dict[str, dict[str, str]]:
    """Images by name, with reference and id; those that are missing are built, if need be."""
    if archive:
        held = image_archive.Contents.read(Path(archive) / image_archive.CONTENTS).images
        return {
            name: {"reference": images.reference(name), "id": held[images.reference(name)]}
            for name in IMAGES
            if images.reference(name) in held
        }
    if request.teardown:
        return {}
    progress = Progress(request.quiet)
    with closing(engine.connect()) as client:
        if request.check:
            ids = {name: images.identity(client, name) for name in IMAGES}
        else:
            ids = images.ensure(client, IMAGES, progress.tell)
    return {name: {"reference": images.reference(name), "id": ids[name]} for name in IMAGES}


def _failure(
    request: Request,
    failures: list[Mapping[str, Any]],
    ended: Mapping[str, Any],
    folder: Path,
) -> str:
    if not failures:
        return _refusal(request, ended["said"])
    first = failures[0]
    where = f"host {first['host']}"
    reason = short(first["reason"])
    if first["state"] == "unreachable":
        return f"{where} does not let Ansible in: {reason}; then give the same command again"
    if re.search(r"(?i)(incorrect|missing|duplicate) sudo password|sudo: a password", reason):
        return (
            f"{where}: the user's password for sudo is missing or wrong: set "
            "ansible_become_password in the inventory's vault (see ansible/vault.example.yml)"
        )
    if first["task"] == "Plan the nodes":
        return f"{request.inventory}: {reason}"
    if first["role"] == "cluster":  # it has looked, and changed nothing
        return f"{where}: {reason}"
    others = {failure["host"] for failure in failures} - {first["host"]}
    more = f" (and so for {_counted(len(others), 'other host')})" if others else ""
    task = ": ".join(filter(None, (first["role"], first["task"])))
    return f"{where}, {task}: {reason}{more}; events and output are in {folder / 'artifacts'}"


def _refusal(request: Request, said: str) -> str:
    """What Ansible says before any host is asked, in a line of our own where it is known."""
    given = "--vault-password-file FILE"
    if "Decryption failed" in said:
        return f"the password in {request.vault} is not that of the vault in {request.inventory}"
    if "no vault secrets" in said:
        return f"{request.inventory} has secrets that ansible-vault encrypted: add {given}"
    return f"{request.inventory}: {short(said)}"


def short(text: str) -> str:
    """One line of what Ansible said, without its own headings."""
    named = [line for line in text.splitlines() if "ERROR" in line]
    line = " ".join((named[0] if named else text).split())
    return _PREFIX.sub("", line)[:_LONGEST].rstrip(" .")


def _tell(request: Request, topology: Path, changes: int, count: int) -> None:
    hosts = _counted(count, "host")
    if request.check:
        print(f"{_counted(changes, 'task')} would change something on {hosts}")
    elif request.teardown:
        print(f"the cluster of {request.inventory} is gone from {hosts}")
    else:
        made = Topology.read(topology)
        nodes = _counted(made.workers, "node")
        what = _counted(changes, "change") if changes else "nothing had to be changed"
        print(
            f"cluster {made.name}: {nodes} on {hosts}, {what}; --runtime cluster uses it "
            f"({topology})"
        )


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")
