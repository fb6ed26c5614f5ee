"""What a Docker engine has of ours, told by labels, and its removal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments.errors import EnvironmentFault
from experiments.runtime.definitions import CLUSTER_LABEL, OWNER_LABEL
from experiments.runtime.engine import faults
from experiments.runtime.lock import FolderLock

_AT_ONCE = 8
_REMOVAL_SECONDS = 20.0
_LOOK_SECONDS = 0.05


def found(client: Any, owner: str, cluster: str | None = None) -> list[Any]:
    """Containers, networks and volumes of an owner's, or of one cluster of it, in that order."""
    labels = [f"{OWNER_LABEL}={owner}"]
    if cluster is not None:
        labels.append(f"{CLUSTER_LABEL}={cluster}")
    filters = {"label": labels}
    with faults("it listed what is ours"):
        return [
            *client.containers.list(all=True, filters=filters, ignore_removed=True),
            *client.networks.list(filters=filters),
            *client.volumes.list(filters=filters),
        ]


def remove(client: Any, owner: str, cluster: str | None = None) -> None:
    """Remove what :func:`found` finds, running or not.

    Raises
    ------
    EnvironmentFault
        The engine does not remove something.
    """
    everything = found(client, owner, cluster)
    containers = [each for each in everything if hasattr(each, "kill")]
    with faults("it removed what is ours"):
        _at_once(containers)
        _at_once([each for each in everything if each not in containers])


def remove_abandoned(client: Any, owner: str, clusters: Path) -> None:
    """Remove what is left of the owner's clusters whose process has ended, however it ended.

    Parameters
    ----------
    clusters : folder with a folder for each cluster, whose lock its process holds.
    """
    names = {_labels(each).get(CLUSTER_LABEL) for each in found(client, owner)}
    for name in sorted(name for name in names if name):
        if not (clusters / name).exists():
            remove(client, owner, name)
            continue
        lock = FolderLock(clusters / name)
        try:
            lock.take()
        except EnvironmentFault:
            continue
        try:
            remove(client, owner, name)
        finally:
            lock.release()


def _labels(thing: Any) -> dict[str, str]:
    attributes = thing.attrs.get("Config", thing.attrs)
    return dict(attributes.get("Labels") or {})


def remove_container(client: Any, name: str) -> None:
    """Remove a container by its name; nothing happens if there is none."""
    import docker

    with suppress(docker.errors.NotFound):
        _remove(client.containers.get(name))


def remove_network(client: Any, name: str) -> None:
    """Remove all networks of a name, which the engine does not keep unique."""
    for network in client.networks.list(names=[name]):
        if network.name == name:
            _remove(network)


def _at_once(things: Sequence[Any]) -> None:
    if things:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(_remove, things))


def _remove(thing: Any) -> None:
    """Remove one thing; wait while the engine is at it already."""
    import docker

    deadline = time.monotonic() + _REMOVAL_SECONDS
    options = {"force": True, "v": True} if hasattr(thing, "kill") else {}
    while True:
        try:
            thing.remove(**options)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if time.monotonic() > deadline:
                name = getattr(thing, "name", thing)
                raise EnvironmentFault(
                    f"the Docker engine does not remove {name} "
                    f"({error.explanation}): remove it with docker rm -f, then try again"
                ) from None
            time.sleep(_LOOK_SECONDS)
        else:
            return
