"""What our images are called, what goes into them, and the revision that follows from it.

``base`` is named by the digest of the locks and its Dockerfile, so that a change in our code leaves
it alone. All others are named by the *revision*: a digest of the code that goes into them, the
locks and the Dockerfiles. Which build of torch is inside is part of either.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from experiments.errors import SpecError
from experiments.paths import CHECKOUT, LOCKS, MAIN_ENVIRONMENT
from experiments.specs.topology import (
    COORDINATOR,
    SAMPLER,
    SCHEDULER,
    SEGMENT,
    SPARK_MASTER,
    SPARK_WORKER,
    WORKER,
)

REPOSITORY = "cerebro-ds"
BASE, GREENPLUM = "base", "greenplum"
IMAGES = (BASE, "segment", "spark", "worker", "experiment")
"""All images that are built without anything given by the user, in the order of building."""
DRIVER = "driver"

REVISION_LABEL = "org.opencontainers.image.revision"
TITLE_LABEL = "org.opencontainers.image.title"
LOCKS_LABEL = "cerebro-ds.locks"
TORCH_LABEL = "cerebro-ds.torch"
OURS_LABEL = "cerebro-ds"

TORCH_VARIABLE = "CEREBRO_DS_TORCH"
BUILDS_OF_TORCH = ("cpu", "cuda")
NVIDIA = Path("/dev/nvidiactl")
"""There when an NVIDIA driver is."""

TREES = ("experiments", "images/locks", "papermill_notebooks", "artifacts/reference")
"""Folders of the checkout that a run needs, notebooks with what they read included."""
FILES = ("LICENSE",)

_IMAGE_OF: Mapping[str, str] = {
    COORDINATOR: "segment",
    SEGMENT: "segment",
    SCHEDULER: "worker",
    WORKER: "worker",
    SPARK_MASTER: "spark",
    SPARK_WORKER: "spark",
    SAMPLER: "worker",
    DRIVER: "experiment",
}


def image_of(role: str) -> str:
    """Short name of the image that carries a role of the topology, or ``driver``.

    Raises
    ------
    SpecError
        There is no such role.
    """
    if role not in _IMAGE_OF:
        raise SpecError(f"no image carries the role {role!r}: there are {', '.join(_IMAGE_OF)}")
    return _IMAGE_OF[role]


def reference(image: str) -> str:
    """The full name, such as ``cerebro-ds/worker:0123456789ab``, that this checkout uses."""
    return f"{REPOSITORY}/{image}:{tag(image)}"


def tag(image: str) -> str:
    """What this checkout's `image` is tagged with, 12 hex digits."""
    return base_digest() if image == BASE else revision()


def torch_build() -> str:
    """``cpu`` or ``cuda``: ``$CEREBRO_DS_TORCH`` if set, else what this machine's devices ask for.

    Raises
    ------
    SpecError
        The variable holds something else.
    """
    chosen = os.environ.get(TORCH_VARIABLE)
    if not chosen:
        return "cuda" if NVIDIA.exists() else "cpu"
    if chosen not in BUILDS_OF_TORCH:
        raise SpecError(f"{TORCH_VARIABLE}={chosen}: set it to cpu or cuda")
    return chosen


@functools.cache
def bundle(checkout: Path = CHECKOUT) -> Mapping[str, bytes]:
    """``{name below the checkout: content}`` of what goes into images; the same all along.

    Read once, so that images built one after the other hold one state of a checkout that is being
    edited.
    """
    paths = [checkout / name for name in FILES]
    for tree in TREES:
        paths += [path for path in (checkout / tree).rglob("*") if _counts(path, checkout)]
    return {str(path.relative_to(checkout)): path.read_bytes() for path in sorted(paths)}


@functools.cache
def recipes(checkout: Path = CHECKOUT) -> Mapping[str, bytes]:
    """``{image: its Dockerfile}``."""
    return {
        path.parent.name: path.read_bytes()
        for path in sorted((checkout / "images").glob("*/Dockerfile"))
    }


def revision(checkout: Path = CHECKOUT) -> str:
    """12 hex digits that tell apart what goes into images: code, locks, Dockerfiles and torch."""
    files = {f"images/{name}/Dockerfile": text for name, text in recipes(checkout).items()}
    return _digest({**bundle(checkout), **files}, torch_build())


def base_digest(checkout: Path = CHECKOUT) -> str:
    """12 hex digits over what goes into ``base``: the main locks, its Dockerfile and torch."""
    files = {f"images/locks/{name}": lock for name, lock in base_locks(checkout).items()}
    files["images/base/Dockerfile"] = recipes(checkout)[BASE]
    return _digest(files, torch_build())


def base_locks(checkout: Path = CHECKOUT) -> Mapping[str, bytes]:
    """``{file name: content}`` of the locks of the main environment."""
    return {lock.name: locks(checkout)[lock.name] for lock in LOCKS[MAIN_ENVIRONMENT]}


def locks(checkout: Path = CHECKOUT) -> Mapping[str, bytes]:
    """``{file name: content}`` of all locks, and what they were made from."""
    prefix = "images/locks/"
    files = bundle(checkout).items()
    return {name.removeprefix(prefix): text for name, text in files if name.startswith(prefix)}


def locks_digest(locks: Mapping[str, bytes]) -> str:
    """SHA-256 over locks, a label of every image."""
    return _digest(locks, length=64)


def _counts(path: Path, checkout: Path) -> bool:
    parts = path.relative_to(checkout).parts
    hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
    return path.is_file() and not hidden


def _digest(files: Mapping[str, bytes], *words: str, length: int = 12) -> str:
    digest = hashlib.sha256()
    for part in _parts(files, words):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:length]


def _parts(files: Mapping[str, bytes], words: Iterable[str]) -> Iterable[bytes]:
    yield from (word.encode() for word in words)
    for name, content in sorted(files.items()):
        yield name.encode()
        yield content
