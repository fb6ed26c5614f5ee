"""The Docker engine: whether one answers, and what stands in the way of using it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from experiments.errors import EnvironmentFault, ServerDied

SOCKET = "/var/run/docker.sock"
ANSWER_SECONDS = 5
CALL_SECONDS = 120
OLDEST_API = (1, 41)
"""Of Docker 20.10, which Debian 12 has."""

INSTEAD = "or use --runtime local"


def connect(url: str = "") -> Any:
    """A client of an engine that answers.

    Parameters
    ----------
    url : of the engine, such as ``ssh://user@host``; by default ``$DOCKER_HOST`` or this machine's.

    Raises
    ------
    EnvironmentFault
        No engine answers, this user may not use it, or it is too old; the message says what to do.
    """
    import docker
    import requests

    options: dict[str, Any] = {"timeout": ANSWER_SECONDS}
    if url:
        options |= {"base_url": url, "use_ssh_client": True}
    where = url or os.environ.get("DOCKER_HOST") or SOCKET
    client = None
    try:
        client = docker.DockerClient(**options) if url else docker.from_env(**options)
        version = client.version()["ApiVersion"]
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        if client is not None:
            client.close()
        raise EnvironmentFault(_refusal(where, error)) from None
    if tuple(map(int, version.split("."))) < OLDEST_API:
        client.close()
        wanted = ".".join(map(str, OLDEST_API))
        raise EnvironmentFault(
            f"the Docker engine at {where} speaks API {version} and {wanted} is needed: install "
            f"Docker 20.10 or newer, {INSTEAD}"
        )
    client.api.timeout = CALL_SECONDS
    return client


def _refusal(where: str, error: Exception) -> str:
    said = str(error)
    if "Permission denied" in said or isinstance(error, PermissionError):
        return (
            f"no permission on {where}: add this user to the group docker (sudo usermod -aG docker "
            f"$USER, then log in again), {INSTEAD}"
        )
    if "No such file" in said or "refused" in said.lower():
        return (
            f"no Docker engine answers at {where}: start it (sudo systemctl start docker; "
            f"sudo apt-get install docker.io where there is none), {INSTEAD}"
        )
    return f"the Docker engine at {where} cannot be used ({_short(said)}): mend that, {INSTEAD}"


def _short(text: str) -> str:
    return " ".join(text.split())[:200]


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what the engine refuses into errors of ours.

    Parameters
    ----------
    what : is being done, such as ``the segment on node 1 cannot be started``.

    Raises
    ------
    EnvironmentFault
        The engine's disk is full, or it is gone.
    ServerDied
        Anything else, which may have to do with something that just died.
    """
    import docker
    import requests

    try:
        yield
    except docker.errors.APIError as error:
        said = _short(str(error.explanation or error))
        if "no space left" in said:
            raise EnvironmentFault(f"{what}: no space left in the Docker engine's folder") from None
        raise ServerDied(f"{what}: {said}") from error
    except requests.RequestException as error:
        raise EnvironmentFault(
            f"{what}: the Docker engine does not answer ({_short(str(error))}); start it and give "
            "the same command again"
        ) from None
