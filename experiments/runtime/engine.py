"""The Docker engine: connecting to it, and what is wrong when that fails, in one line."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import requests

from experiments import nvidia
from experiments.errors import EnvironmentFault, ServerDied

VARIABLE = "DOCKER_HOST"
SOCKET = "/var/run/docker.sock"
OLDEST_DOCKER, OLDEST_API = "20.10", (1, 41)
"""What Debian 12 has."""
BAD_REQUEST = 400
"""What the engine answers to what it will never do."""
_KNOCK_SECONDS = 5
_ANSWER_SECONDS = 30
"""Of an engine whose socket takes us; a busy machine must not change what a run is called."""
_CALL_SECONDS = 120


def connect(url: str = "") -> Any:
    """A client of an engine that answers.

    Parameters
    ----------
    url : of the engine, such as ``ssh://user@host``; by default ``$DOCKER_HOST``, or else this
        machine's own.

    Raises
    ------
    EnvironmentFault
        No engine answers there, this user may not use it, or it is too old.
    """
    place = url or os.environ.get(VARIABLE) or f"unix://{SOCKET}"
    client = None
    try:
        _knock(place)
        if url:
            client = docker.DockerClient(base_url=url, timeout=_ANSWER_SECONDS, use_ssh_client=True)
        else:
            client = docker.from_env(timeout=_ANSWER_SECONDS, use_ssh_client=True)
        speaks = str(client.version()["ApiVersion"])
    except PermissionError:
        raise EnvironmentFault(
            f"this user may not use the Docker engine at {place}: sudo usermod -aG docker $USER "
            "and log in again, or run the command as root"
        ) from None
    except (docker.errors.DockerException, requests.RequestException, OSError):
        if client is not None:
            client.close()
        raise EnvironmentFault(
            f"no Docker engine answers at {place}: start it (sudo systemctl start docker; to "
            f"install one: sudo apt-get install docker.io), or set {VARIABLE}"
        ) from None
    if tuple(map(int, speaks.split("."))) < OLDEST_API:
        client.close()
        raise EnvironmentFault(
            f"the Docker engine at {place} speaks version {speaks} of its API: install Docker "
            f"{OLDEST_DOCKER} or newer"
        )
    client.api.timeout = _CALL_SECONDS
    return client


def _knock(place: str) -> None:
    """Connect to an engine behind a socket, which the SDK leaves open where it cannot."""
    scheme, _, path = place.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(_KNOCK_SECONDS)
            knocking.connect(path)


def is_local(client: Any) -> bool:
    """Does the engine run on this machine, behind a socket?"""
    return str(client.api.base_url).startswith("http+docker://localhost")


def unfit(client: Any) -> str:
    """Why the runs of this machine cannot be carried out in the engine's containers; or empty."""
    if not is_local(client):
        return "the Docker engine is another machine's, and containers need this one's folders"
    with faults("it described itself"):
        told = client.info()
    for option in told.get("SecurityOptions") or ():
        for mode in ("rootless", "userns"):
            if f"name={mode}" in option:
                return (
                    f"the Docker engine runs in mode {mode}, whose users cannot share our folders"
                )
    if nvidia.find().gpus and "nvidia" not in told.get("Runtimes", {}):
        return (
            "the Docker engine cannot hand this machine's GPUs to containers: install NVIDIA's "
            "container toolkit (nvidia-ctk runtime configure)"
        )
    return ""


def free_bytes(client: Any) -> int | None:
    """Free bytes in the engine's folder; None where this process cannot know."""
    folder = Path(client.info()["DockerRootDir"])
    with contextlib.suppress(OSError):
        if is_local(client):
            room = os.statvfs(folder)
            return room.f_bavail * room.f_frsize
    return None


def check_space(client: Any, needed: int, what: str) -> None:
    """See that the engine has room.

    Raises
    ------
    EnvironmentFault
        It has not; names its folder.
    """
    free = free_bytes(client)
    if free is not None and free < needed:
        folder = client.info()["DockerRootDir"]
        raise EnvironmentFault(
            f"{free / 1e9:.1f} GB are free in the Docker engine's folder {folder} and {what} "
            f"need {needed / 1e9:.1f} GB: make room (docker system prune), or move it to a "
            "larger disk (data-root in /etc/docker/daemon.json)"
        )


@contextlib.contextmanager
def faults(doing: str) -> Iterator[None]:
    """Turn what the engine refuses into one line.

    Raises
    ------
    EnvironmentFault
        The engine refused, ended, or has no space; says while `doing` what.
    """
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException) as error:
        said = " ".join(str(getattr(error, "explanation", None) or error).split())
        if "no space left" in said:
            raise EnvironmentFault(
                f"the Docker engine's disk is full while {doing}: make room (docker system "
                "prune), then give the same command again"
            ) from error
        raise EnvironmentFault(f"the Docker engine failed while {doing}: {said}") from error


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what the engine refuses a cluster into errors that its supervisor knows.

    Parameters
    ----------
    what : the engine did, such as ``it started the segment on node 1``.

    Raises
    ------
    EnvironmentFault
        The engine's disk is full, it will never do this, or it is gone.
    ServerDied
        Anything else, which may have to do with something that just died.
    """
    try:
        with faults(what):
            yield
    except EnvironmentFault as fault:
        cause, said = fault.__cause__, str(fault)
        if "address pool" in said:
            raise EnvironmentFault(f"{said}; make room with docker network prune") from cause
        lasting = "no space left" in said or getattr(cause, "status_code", None) == BAD_REQUEST
        if isinstance(cause, docker.errors.APIError) and not lasting:
            raise ServerDied(said) from cause
        raise
