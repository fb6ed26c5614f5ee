"""The Debian under all images: pulled by name where a registry answers, else made here.

Where none answers, ``debootstrap`` makes it from this machine's own apt sources and Docker imports
it. Whichever came first stays, under a name of ours, and is not asked for again.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests

from experiments.errors import EnvironmentFault
from experiments.runtime.image_names import OURS_LABEL, REPOSITORY

SUITE = "bookworm"
PULLED = f"debian:{SUITE}-slim"
DEBIAN = f"{REPOSITORY}/debian:{SUITE}"
SOURCES = Path("/etc/apt")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_PULL_SECONDS = 20
"""Without a word from a registry, after which none answers."""
_SWEEP = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
)
"""Folders that are emptied before the import; ``images/base`` keeps them so."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """One of this machine's apt sources for :data:`SUITE`; ``address`` without its scheme."""

    scheme: str
    address: str
    suite: str

    @property
    def host(self) -> str:
        return self.address.partition("/")[0].partition(":")[0]

    @property
    def plain(self) -> str:
        """The address as builds ask for it: by HTTP, of the relay."""
        return f"http://{self.address}"


def sources(folder: Path = SOURCES) -> list[Source]:
    """This machine's sources of Debian :data:`SUITE`; none on a machine with another system.

    Those with a name and password in them are left out: they would be in a layer.
    """
    found = []
    for scheme, address, suite in _entries(folder):
        path = address.rstrip("/")
        ours = re.fullmatch(rf"{SUITE}(-updates|-security)?", suite)
        plain = scheme in {"http", "https"} and "@" not in path
        if ours and plain and re.search(r"/debian(-security)?$", path):
            found.append(Source(scheme, path, suite))
    return found if any(source.suite == SUITE for source in found) else []


def _entries(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Scheme, address and suite of every source, in either of apt's two formats."""
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    for file in lists:
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        rows = re.findall(r"(?m)^deb\s+(?:\[[^\]]*\]\s+)?(\w+)://(\S+)\s+(\S+)\s+.*\bmain\b", text)
        yield from rows
    for file in sorted((folder / "sources.list.d").glob("*.sources")):
        text = file.read_text(encoding="utf-8", errors="replace")
        for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
            fields = dict(re.findall(r"(?m)^([\w-]+):[ \t]*(.*)$", stanza))
            if "deb" in fields.get("Types", "").split() and "main" in fields.get("Components", ""):
                for uri in fields.get("URIs", "").split():
                    scheme, _, address = uri.partition("://")
                    yield from ((scheme, address, s) for s in fields.get("Suites", "").split())


def apt_sources(found: list[Source]) -> str:
    """The text of the image's ``debian.sources``: this machine's, as builds ask for them."""
    return "\n".join(
        f"Types: deb\nURIs: {source.plain}\nSuites: {source.suite}\nComponents: main\n"
        f"Signed-By: {KEYRING}\n"
        for source in found
    )


def ensure_debian(client: Any, proxy: str, say: Say) -> str:
    """The id of the Debian under our images, made if it is not there.

    Raises
    ------
    EnvironmentFault
        No registry answers, and it cannot be made here either.
    """
    try:
        return str(client.api.inspect_image(DEBIAN)["Id"])
    except docker.errors.ImageNotFound:
        pass
    say(f"Pulling {PULLED}")
    if not _pulled(client):
        say("No registry answers: making Debian with debootstrap")
        _bootstrap(client, proxy)
    return str(client.api.inspect_image(DEBIAN)["Id"])


def _pulled(client: Any) -> bool:
    patience, client.api.timeout = client.api.timeout, _PULL_SECONDS
    try:
        client.images.pull(PULLED).tag(DEBIAN)
        client.api.remove_image(PULLED, noprune=True)
    except (docker.errors.APIError, requests.RequestException):
        return False
    finally:
        client.api.timeout = patience
    return True


def _bootstrap(client: Any, proxy: str) -> None:
    tool = shutil.which("debootstrap", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if tool is None:
        raise EnvironmentFault(
            "no registry answers and debootstrap is not installed: sudo apt-get install "
            "debootstrap debian-archive-keyring, or bring images with images/build --load"
        )
    # Its mounts are in a namespace of their own, and gone with it however it ends.
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", tool, "--variant=minbase"]
    mirror = next((s.plain for s in sources() if s.suite == SUITE), "")
    with tempfile.TemporaryDirectory(prefix="cerebro-ds-debian-", dir="/var/tmp") as scratch:
        root = Path(scratch) / "root"
        log = Path(scratch) / "log"
        with log.open("wb") as output:
            done = subprocess.run(
                [*command, SUITE, str(root), *filter(None, [mirror])],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "http_proxy": proxy},
                check=False,
            )
        if done.returncode != 0:
            rows = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            said = next((row for row in reversed(rows) if row.startswith("E: ")), "it said nothing")
            raise EnvironmentFault(
                f"debootstrap could not make Debian: {said}; it needs root and an apt source of "
                f"Debian {SUITE}, or bring images with images/build --load"
            )
        if mirror:
            (root / "etc/apt/sources.list").unlink()  # ours comes with the base's Dockerfile
        _sweep(root)
        _import(client, root)


def _sweep(root: Path) -> None:
    for name in _SWEEP:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
    (root / "var/lib/apt/lists/partial").mkdir()
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    for log in (root / "var/log").glob("*.log"):
        log.unlink()
    (root / "etc/machine-id").write_bytes(b"")


def _import(client: Any, root: Path) -> None:
    repository, _, tag = DEBIAN.partition(":")
    with subprocess.Popen(
        ["tar", "--numeric-owner", "--sort=name", "-C", str(root), "-c", "."],
        stdout=subprocess.PIPE,
    ) as packed:
        client.api.import_image_from_stream(
            packed.stdout, repository=repository, tag=tag, changes=[f"LABEL {OURS_LABEL}=1"]
        )
    if packed.returncode != 0:
        raise EnvironmentFault("tar could not pack the Debian that debootstrap made: no space?")
