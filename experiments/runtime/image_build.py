"""Build one image after the other with Docker's classic builder.

A build's context is made here, in memory: the image's ``Dockerfile``, the locks, and the code as
it was when this process first looked (:func:`~experiments.runtime.image_names.bundle`). Wheels and
packages come from the :mod:`~experiments.runtime.image_relay`.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import __version__
from experiments.errors import EnvironmentFault
from experiments.files import write_atomically
from experiments.paths import LOCKS, MAIN_ENVIRONMENT, PACKAGE_ENVIRONMENT, lock_digest, state
from experiments.runtime import image_names as names
from experiments.runtime.engine import check_space, faults, is_local
from experiments.runtime.image_base import DEBIAN, apt_sources, ensure_debian, sources
from experiments.runtime.image_relay import relay
from experiments.runtime.image_wheels import wheels

BYTES: Mapping[str, int] = {
    "base": 5_500_000_000,
    "segment": 400_000_000,
    "spark": 300_000_000,
    "worker": 100_000_000,
    "experiment": 3_000_000_000,
    "greenplum": 2_000_000_000,
}
"""Room that each needs in the engine's folder while it is built, with CPU wheels."""
CUDA_BYTES = 8_000_000_000
"""What ``base`` needs on top with CUDA's."""

Say = Callable[[str], None]

_ERROR = re.compile(
    r"^E: |^ERROR: |^error: |^\w+(Error|Fault): |: Depends: .* but |error while loading shared"
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Docker colours what a step says on its standard error."""


def build(client: Any, images: Sequence[str], say: Say) -> None:
    """Build images in the order given; what they stand on must come before them or be there.

    Parameters
    ----------
    client : of an engine on this machine.
    images : of :data:`~experiments.runtime.image_names.IMAGES`.
    say : takes a line of progress now and then.

    Raises
    ------
    EnvironmentFault
        No space, no network, a package that cannot be fetched; names what to mend.
    """
    if not images:
        return
    if not is_local(client):
        raise EnvironmentFault(
            "images are built by an engine on this machine only: unset DOCKER_HOST, build here, "
            "and carry them over with images/build --save FOLDER and --load FOLDER"
        )
    torch = names.torch_build()
    needed = sum(BYTES[image] for image in images)
    needed += CUDA_BYTES if torch == "cuda" and names.BASE in images else 0
    check_space(client, needed, "the images")
    folders = {}
    if names.BASE in images:
        folders[f"main-{torch}"] = wheels(MAIN_ENVIRONMENT, torch, say)
    if "experiment" in images:
        folders[PACKAGE_ENVIRONMENT] = wheels(PACKAGE_ENVIRONMENT, torch, say)
    with relay(folders, secure_hosts()) as proxy:
        if names.BASE in images:
            with faults("it made Debian"):
                ensure_debian(client, proxy, say)
        for number, image in enumerate(images, 1):
            build_one(client, image, proxy, _titled(say, f"{image} ({number} of {len(images)})"))


def secure_hosts() -> frozenset[str]:
    """Hosts of apt sources that this machine reaches by HTTPS."""
    return frozenset(source.host for source in sources() if source.scheme == "https")


def build_one(
    client: Any,
    image: str,
    proxy: str,
    say: Say,
    arguments: Mapping[str, str] | None = None,
    marks: Mapping[str, str] | None = None,
) -> str:
    """Build one image; its id.

    Parameters
    ----------
    proxy : address of the relay.
    arguments : more build arguments.
    marks : more labels.

    Raises
    ------
    EnvironmentFault
        A step failed; names the log.
    """
    given = {**_arguments(image), **(arguments or {})}
    with faults(f"it built {image}"), contextlib.closing(context(image)) as packed:
        stream = client.api.build(
            fileobj=packed,
            custom_context=True,
            tag=names.reference(image),
            network_mode="host",
            buildargs={**given, "http_proxy": proxy, "no_proxy": ""},
            labels={**labels(image), **(marks or {})},
            rm=True,
            forcerm=True,
            decode=True,
        )
        with contextlib.closing(stream):
            _follow(stream, image, say)
        return str(client.api.inspect_image(names.reference(image))["Id"])


@contextlib.contextmanager
def alone(say: Say) -> Iterator[None]:
    """Hold the lock of whoever builds images in this state folder."""
    folder = state().images
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command is building images: waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def labels(image: str) -> dict[str, str]:
    """What an image says of itself; of ``base`` only what its name follows from."""
    base = image == names.BASE
    return {
        names.OURS_LABEL: "1",
        names.TITLE_LABEL: f"{names.REPOSITORY}/{image}",
        "org.opencontainers.image.version": names.tag(image) if base else __version__,
        names.REVISION_LABEL: names.tag(image),
        "org.opencontainers.image.licenses": "Apache-2.0",
        names.LOCKS_LABEL: names.locks_digest(names.base_locks() if base else names.locks()),
        names.TORCH_LABEL: names.torch_build(),
    }


def context(image: str) -> io.BytesIO:
    """What an image is built from, as a tar archive that depends on nothing but its contents."""
    files: dict[str, bytes] = {"Dockerfile": names.recipes()[image]}
    locks: Mapping[str, bytes] = {}
    if image == names.BASE:
        locks = names.base_locks()
        if found := sources():
            files["apt/sources.list.d/debian.sources"] = apt_sources(found).encode()
    else:
        files |= {f"bundle/{name}": content for name, content in names.bundle().items()}
    if image == "experiment":
        locks = {lock.name: names.locks()[lock.name] for lock in LOCKS[PACKAGE_ENVIRONMENT]}
    files |= {f"locks/{name}": lock for name, lock in locks.items()}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for folder in sorted(_folders(files) | ({"apt"} if image == names.BASE else set())):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    return packed


def _folders(files: Mapping[str, bytes]) -> set[str]:
    return {str(parent) for name in files for parent in Path(name).parents} - {"."}


def _titled(say: Say, what: str) -> Say:
    return lambda text: say(f"Building {what}: {text}")


def _arguments(image: str) -> dict[str, str]:
    if image == names.BASE:
        environment = lock_digest(MAIN_ENVIRONMENT)[:16]
        return {"DEBIAN": DEBIAN, "ENVIRONMENT": environment, "TORCH": names.torch_build()}
    own = {"BASE": names.reference(names.BASE)}
    if image == "experiment":
        own["PACKAGE_ENVIRONMENT"] = lock_digest(PACKAGE_ENVIRONMENT)[:16]
    return own


def _follow(stream: Iterator[Mapping[str, Any]], image: str, say: Say) -> None:
    """Read what the builder says until it is done, and keep it in a log."""
    log = state().images / f"{image}.log"
    said: list[str] = []
    for message in stream:
        text = _COLOURS.sub("", str(message.get("stream", "")))
        said.append(text)
        step = re.match(r"Step (\d+)/(\d+) : (.{1,60})", text)
        if step:
            say(f"step {step[1]} of {step[2]}, {step[3].strip()}")
        if "error" in message:
            said.append(str(message["error"]))
            write_atomically(log, "".join(said))
            raise EnvironmentFault(_reason("".join(said), image, str(log)))
    write_atomically(log, "".join(said))


def _reason(said: str, image: str, log: str) -> str:
    rows = [row.strip() for row in said.splitlines() if row.strip()]
    if any("no space left" in row.lower() for row in rows[-20:]):
        return f"the Docker engine's disk is full while it built {image}: make room (log: {log})"
    told = next((row for row in rows if _ERROR.search(row)), rows[-1] if rows else "no output")
    return f"{image} could not be built: {told} (log: {log})"
