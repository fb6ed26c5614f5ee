"""The wheels that images are built from: fetched once, with the locks' hashes, and kept.

Each environment has a folder named by its locks and its build of torch. It holds a wheel for every
package (what comes as a source archive is built here, once) and ``requirements.txt`` with the
digest of each, so that a build takes exactly these files and needs no network.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from experiments.errors import EnvironmentFault
from experiments.paths import LOCKS, MAIN_ENVIRONMENT, STATE_VARIABLE, lock_digest, state

REQUIREMENTS = "requirements.txt"
CA_VARIABLE = "CEREBRO_DS_CA"
"""A bundle of certificates to trust while images are built, where the network has its own."""

_ENTRY = re.compile(r"(?m)^([a-z0-9-]+)==.*(?:\n +--hash.*)*\n")
_TELL_SECONDS = 10.0
_BYTES = {"cpu": 3_000_000_000, "cuda": 8_000_000_000}
"""Room that a folder needs while it is made."""

Say = Callable[[str], None]


def wheels(environment: str, torch: str, say: Say) -> Path:
    """The folder of an environment's wheels, made if it is not there.

    Parameters
    ----------
    environment : one of :data:`experiments.paths.LOCKS`.
    torch : ``cpu`` takes the CPU build where pip is offered one beside the registry, ``cuda`` the
        registry's build with what it needs.

    Raises
    ------
    EnvironmentFault
        pip could not fetch or build a package, or the disk is full.
    """
    variant = f"-{torch}" if environment == MAIN_ENVIRONMENT else ""
    folder = state().wheels / f"{lock_digest(environment)[:16]}{variant}"
    if (folder / REQUIREMENTS).exists():
        return folder
    aside = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        _check_room(aside, _BYTES[torch])
        _Fetch(environment, aside, say).all(torch)
        (aside / REQUIREMENTS).write_text(_requirements(aside), encoding="ascii")
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EnvironmentFault(
            f"{free / 1e9:.1f} GB are free in {folder.parent} and the wheels for images need "
            f"{needed / 1e9:.0f} GB: make room, or set {STATE_VARIABLE} to a folder on a larger "
            "disk"
        )


class _Fetch:
    """Fills one folder with an environment's wheels."""

    def __init__(self, environment: str, folder: Path, say: Say) -> None:
        self._title = f"Fetching the wheels of {environment}"
        self._locks = [lock.read_text(encoding="utf-8") for lock in LOCKS[environment]]
        self._folder, self._say = folder, say

    def all(self, torch: str) -> None:
        first, *more = self._locks
        entries = {entry[1]: entry[0] for entry in _ENTRY.finditer(first)}
        if "torch" in entries:
            self._torch(entries.pop("torch"), torch)
        self._pip("".join(entries.values()))
        asked = [lock for lock in more if self._asked(lock)]
        if torch == "cuda" and more and not asked:
            raise EnvironmentFault(
                "pip takes a build of torch without CUDA: unset PIP_EXTRA_INDEX_URL and "
                "PIP_FIND_LINKS (also in pip.conf), or use --torch cpu"
            )
        for lock in asked:
            self._pip(lock)

    def _torch(self, entry: str, torch: str) -> None:
        if torch == "cpu":
            # Left to itself, pip in hash mode takes the registry's build, with several GB of CUDA:
            # a folder of wheels gives no digests in advance, and files with one come first.
            with contextlib.suppress(EnvironmentFault):
                self._pip(entry, "--no-index")
                return
            self._say("pip is offered no CPU build of torch: taking the registry's, with CUDA")
        self._pip(entry)

    def _asked(self, lock: str) -> bool:
        """Does the torch that was fetched ask for a package of this lock (the one of CUDA)?"""
        asked = set()
        for wheel in self._folder.glob("torch-*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                metadata = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
                text = archive.read(metadata).decode()
            asked |= {_canonical(n) for n in re.findall(r"(?m)^Requires-Dist: ([\w.-]+)", text)}
        return not asked.isdisjoint(entry[1] for entry in _ENTRY.finditer(lock))

    def _pip(self, lock: str, *options: str) -> None:
        pins = self._folder / "lock"
        pins.write_text(lock, encoding="utf-8")
        log = self._folder / "pip.log"
        command = [sys.executable, "-I", "-m", "pip", "wheel", "--no-deps", "--require-hashes"]
        command += ["--no-input", "--progress-bar", "off", "--disable-pip-version-check"]
        command += [*options, "--wheel-dir", str(self._folder), "-r", str(pins)]
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            code = self._run(command, log, {**_environment(), "TMPDIR": scratch})
        rows = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        log.unlink()
        pins.unlink()
        if code != 0:
            named = [row for row in rows if row.startswith("ERROR: ")] or rows or ["no output"]
            raise EnvironmentFault(
                f"pip could not fetch the wheels for images: {named[-1].strip()}; mend that (the "
                f"network, PIP_INDEX_URL, {CA_VARIABLE}), or bring images with images/build --load"
            )

    def _run(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
        with log.open("wb") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        told = time.monotonic()
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return child.wait(timeout=0.5)
                if time.monotonic() - told > _TELL_SECONDS:
                    told = time.monotonic()
                    said = log.read_text(encoding="utf-8", errors="replace")
                    self._say(f"{self._title}: {len(re.findall('(?m)^Collecting ', said))} so far")
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _environment() -> dict[str, str]:
    """pip's: the caller's, with the network's own certificate authority if one is named."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if own.get(CA_VARIABLE):
        own["PIP_CERT"] = own[CA_VARIABLE]
    return own


def _requirements(folder: Path) -> str:
    rows = []
    for wheel in sorted(folder.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        with wheel.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        rows.append(f"{_canonical(name)}=={version} --hash=sha256:{digest}\n")
    return "".join(rows)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
