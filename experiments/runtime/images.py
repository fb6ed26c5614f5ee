"""The images of this checkout: which are there, and making those that are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import docker

from experiments.errors import EnvironmentFault, NoImages
from experiments.runtime import image_build, image_wheels
from experiments.runtime.engine import faults
from experiments.runtime.image_base import DEBIAN
from experiments.runtime.image_names import (
    BASE,
    GREENPLUM,
    IMAGES,
    OURS_LABEL,
    REPOSITORY,
    REVISION_LABEL,
    image_of,
    reference,
    revision,
    tag,
)

__all__ = [
    "IMAGES",
    "REVISION_LABEL",
    "ensure",
    "identity",
    "image_of",
    "missing",
    "present",
    "prune",
    "reference",
    "remove",
    "revision",
]


def missing(client: Any, images: Iterable[str]) -> list[str]:
    """Which of `images` the engine does not hold, in the order of building.

    Raises
    ------
    EnvironmentFault
        An image that bears our name is of another revision, or the engine does not answer.
    """
    wanted = set(images)
    return [i for i in (*IMAGES, GREENPLUM) if i in wanted and not identity(client, i)]


def identity(client: Any, image: str) -> str:
    """The id, ``sha256:…``, of this checkout's `image`; empty where the engine does not hold it.

    Raises
    ------
    EnvironmentFault
        What bears its name is of another revision, or the engine does not answer.
    """
    name = reference(image)
    with faults(f"it was asked for {name}"):
        try:
            found = client.api.inspect_image(name)
        except docker.errors.ImageNotFound:
            return ""
    label = (found["Config"].get("Labels") or {}).get(REVISION_LABEL)
    if label != tag(image):
        raise EnvironmentFault(
            f"the image {name} is of another revision ({label or 'none'}): remove it with docker "
            f"rmi {name}, and images/build makes it again"
        )
    return str(found["Id"])


def ensure(client: Any, images: Iterable[str], say: Callable[[str], None]) -> dict[str, str]:
    """Build what is missing of `images`, ``base`` first.

    Parameters
    ----------
    say : takes a line of progress now and then, without a line's end.

    Returns
    -------
    ``{image: its id}`` of the images asked for.

    Raises
    ------
    NoImages
        They cannot be built here; names what to mend.
    EnvironmentFault
        An image that bears our name is of another revision, or the engine does not answer.
    """
    wanted = list(images)
    if missing(client, wanted):
        with image_build.alone(say):
            lacking = missing(client, wanted)
            if lacking and BASE not in lacking:
                lacking = missing(client, [BASE, *lacking])
            try:
                image_build.build(client, lacking, say)
            except EnvironmentFault as fault:
                raise NoImages(str(fault)) from fault
    return {image: identity(client, image) for image in wanted}


def present(client: Any) -> list[str]:
    """Names of all images of this bundle's, of any revision, that the engine holds."""
    with faults("it listed images"):
        found = client.api.images(filters={"label": f"{OURS_LABEL}=1"})
    return [name for image in found for name in image["RepoTags"] or ()]


def prune(client: Any, say: Callable[[str], None]) -> list[str]:
    """Remove this bundle's images of other revisions, and what unfinished builds left; their names.

    What a container uses stays. So do wheels of this checkout's locks; those of others go.

    Raises
    ------
    EnvironmentFault
        The engine does not answer.
    """
    wanted = {reference(image) for image in (*IMAGES, GREENPLUM)} | {DEBIAN}
    ours = {"label": f"{OURS_LABEL}=1"}
    removed = []
    with image_build.alone(say), faults("it removed images"):
        for name in present(client):
            if name.startswith(f"{REPOSITORY}/") and name not in wanted:
                say(f"Removing {name}")
                removed += remove(client, name)
        for image in client.api.images(filters={**ours, "dangling": True}):
            removed += remove(client, image["Id"])
        image_wheels.prune()
    return removed


def remove(client: Any, name: str) -> list[str]:
    """Remove an image unless a container uses it; its name, if it is gone."""
    try:
        client.api.remove_image(name)
    except docker.errors.APIError:
        return []
    return [name]
