"""Carry all images to machines without a network: one archive, and what it must be, beside it.

The images share most layers, and one archive of all holds each layer once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from experiments.errors import DataError, EnvironmentFault
from experiments.files import unwritable, write_atomically
from experiments.runtime import image_names as names
from experiments.runtime.engine import check_space, faults
from experiments.runtime.images import identity, missing

ARCHIVE, CONTENTS = "images.tar", "images.json"
_BLOCK = 1 << 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class Contents:
    """What an archive holds: revision, size in bytes, SHA-256, and ``{full name: id}``."""

    revision: str
    bytes: int
    sha256: str
    images: dict[str, str]

    @classmethod
    def read(cls, file: Path) -> Contents:
        """The contents that ``images.json`` names.

        Raises
        ------
        DataError
            It is missing or damaged.
        """
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise DataError(
                f"{file}: {error.strerror}; name the folder that images/build --save wrote"
            ) from error
        except (ValueError, TypeError) as error:
            raise DataError(f"{file} is damaged: copy the folder again") from error


def save(client: Any, images: Sequence[str], folder: Path, say: Say) -> Contents:
    """Write `images` of this revision into a folder.

    Raises
    ------
    EnvironmentFault
        One of them is not there, or the folder cannot be written.
    """
    if lacking := missing(client, images):
        only = " ".join(lacking)
        raise EnvironmentFault(f"there is no image {only} yet: images/build --only {only}")
    held = {names.reference(image): identity(client, image) for image in images}
    archive, aside = folder / ARCHIVE, folder / f".{ARCHIVE}.part"
    url = f"{client.api.base_url}/v{client.api.api_version}/images/get"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONTENTS).unlink(missing_ok=True)
        with faults("it saved images"), aside.open("wb") as file:
            answer = client.api.get(url, params={"names": list(held)}, stream=True, timeout=None)
            with answer:
                answer.raise_for_status()
                digest, size = _copy(answer.iter_content(_BLOCK), file, "Saving", say)
        aside.replace(archive)
    except OSError as error:
        raise unwritable(archive, error) from error
    finally:
        aside.unlink(missing_ok=True)
    contents = Contents(names.revision(), size, digest, held)
    write_atomically(folder / CONTENTS, json.dumps(asdict(contents), indent=1) + "\n")
    return contents


def load(client: Any, folder: Path, say: Say) -> Contents:
    """Give the engine what :func:`save` wrote, once it is known to be whole and of this revision.

    Raises
    ------
    DataError
        The archive is missing or damaged; nothing was loaded.
    EnvironmentFault
        It holds images of another revision, or the engine has no room; nothing was loaded.
    """
    contents = Contents.read(folder / CONTENTS)
    if contents.revision != names.revision():
        raise EnvironmentFault(
            f"{folder} holds images of revision {contents.revision} and this checkout is "
            f"{names.revision()}: save them again from the same checkout, with the same "
            f"{names.TORCH_VARIABLE}"
        )
    archive = folder / ARCHIVE
    try:
        with archive.open("rb") as file:
            digest, size = _copy(iter(lambda: file.read(_BLOCK), b""), None, "Checking", say)
    except OSError as error:
        raise DataError(f"{archive}: {error.strerror}; copy the folder again") from error
    if (digest, size) != (contents.sha256, contents.bytes):
        raise DataError(f"{archive} is damaged: copy the folder again")
    if all(_there(client, *pair) for pair in contents.images.items()):
        return contents
    check_space(client, contents.bytes, "the images")
    say("Loading images")
    patience, client.api.timeout = client.api.timeout, None
    try:
        with faults("it loaded images"), archive.open("rb") as file:
            for message in client.api.load_image(file, quiet=False) or ():
                if "error" in message:
                    raise EnvironmentFault(f"the engine could not load {archive}: {message}")
    finally:
        client.api.timeout = patience
    for name, image in contents.images.items():
        if not _there(client, name, image):
            raise EnvironmentFault(f"{name} is not what {archive} should hold: save it again")
    return contents


def _there(client: Any, name: str, image: str) -> bool:
    return any(image == found["Id"] for found in client.api.images(name=name))


def _copy(
    blocks: Iterable[bytes] | Iterator[bytes], file: BinaryIO | None, doing: str, say: Say
) -> tuple[str, int]:
    """Copy blocks, or only look at them; their SHA-256 and size in bytes."""
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
        if file is not None:
            file.write(block)
        say(f"{doing} images: {size / 1e9:.1f} GB")
    return digest.hexdigest(), size
