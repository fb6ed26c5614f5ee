"""Regenerate and check the lock files of the environments.

``locks/main.in``, ``locks/cerebro-dl.in`` and ``locks/ansible.in`` hold the direct requirements of
one environment each, typed by hand. From them this tool writes

* ``locks/main.txt``, ``locks/cerebro-dl.txt``, ``locks/ansible.txt``: everything they need, with
  the SHA-256 of every wheel that may serve;
* ``locks/torch-cuda.txt``: what only the CUDA build of torch needs on top of ``main.txt``.

A direct requirement marked ``# alone`` is locked without what it declares to need.

A lock names public versions only, so that one lock serves a machine whose torch is a CPU build
(version ``2.13.0+cpu``) and one that takes the registry's CUDA build (``2.13.0``): both wheels'
hashes stand under ``torch==2.13.0``. Where packages come from is pip's own configuration and
appears in no file.

Usage::

    python3 images/lock.py [--only NAME]    resolve again and write all locks, or one environment's
    python3 images/lock.py --check          are they sound and up to date? (no network)

Run it where pip is offered a CPU build of torch, or the locks cannot tell the two builds apart.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCKS = Path(__file__).resolve().parent / "locks"
MAIN, CUDA, PACKAGE, ANSIBLE = "main", "torch-cuda", "cerebro-dl", "ansible"
MADE = {MAIN: (MAIN, CUDA), PACKAGE: (PACKAGE,), ANSIBLE: (ANSIBLE,)}
"""The locks that are made from each file of direct requirements."""
INTERPRETER = "/usr/bin/python3.11"
RESOLVER = "pip==26.3"
"""Resolves from ranged reads of the wheels' metadata: nothing of several GB is downloaded."""

_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9._!+-]+)")
_ALONE = re.compile(r"\s+# alone$")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
_HOST = re.compile(
    r"(?i)(?:https?|file)://|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:org|com|net|io|dev)\b"
)
_OPTION = re.compile(r"(?i)-i\b|-f\b|--(?:index-url|extra-index-url|find-links|trusted-host)\b")


class LockError(Exception):
    """A lock, or what pip said, that cannot be used; the message names the line."""


@dataclass(frozen=True)
class Pin:
    """One requirement of a lock: ``name==version`` and the digests of the files that may serve."""

    name: str
    version: str
    hashes: tuple[str, ...]

    def render(self) -> str:
        rows = [f"{self.name}=={self.version}", *(f"    --hash=sha256:{h}" for h in self.hashes)]
        return " \\\n".join(rows)


def canonical(name: str) -> str:
    """The normal form of a distribution's name: lower case, runs of ``-_.`` as one dash."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _requirements(direct: str) -> list[str]:
    """The lines of direct requirements; whole lines of comment and blank ones left out."""
    lines = (line.strip() for line in direct.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def fingerprint(direct: str) -> str:
    """SHA-256 over the direct requirements, independent of order, comments and blank lines."""
    return hashlib.sha256("\n".join(sorted(_requirements(direct))).encode()).hexdigest()


def parse_direct(text: str, label: str) -> dict[str, str]:
    """``{canonical name: version}`` of a file of bare pins.

    Raises
    ------
    LockError
        A line that is not ``name==version`` with a public version, ``# alone`` after it or not.
    """
    pins: dict[str, str] = {}
    for line in _requirements(text):
        match = _PIN.fullmatch(_ALONE.sub("", line))
        if match is None or "+" in match["version"]:
            raise LockError(f"{label}: '{line}' is not NAME==PUBLIC-VERSION")
        pins[canonical(match["name"])] = match["version"]
    return pins


def alone(text: str) -> list[str]:
    """The direct requirements that are locked without what they declare to need."""
    return [_ALONE.sub("", line) for line in _requirements(text) if _ALONE.search(line)]


def parse_lock(text: str, label: str) -> dict[str, Pin]:
    """The pins of a lock by canonical name.

    Raises
    ------
    LockError
        An index address, a host name, an option other than a hash, a version that is local or not
        pinned, a requirement without hashes, or one that is there twice.
    """
    pins: dict[str, Pin] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if _HOST.search(line) or _OPTION.search(line):
            raise LockError(f"{label}, line {number}: names an index or a host: '{line.strip()}'")
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for entry in filter(None, map(str.strip, bare.replace("\\\n", " ").splitlines())):
        requirement, *options = entry.split()
        match = _PIN.fullmatch(requirement)
        if match is None:
            raise LockError(f"{label}: '{requirement}' is not pinned as NAME==VERSION")
        if "+" in match["version"]:
            raise LockError(f"{label}: '{requirement}' is a local version")
        if not options or not all(_HASH.fullmatch(option) for option in options):
            raise LockError(f"{label}: '{requirement}' needs SHA-256 hashes and nothing else")
        name = canonical(match["name"])
        if name in pins:
            raise LockError(f"{label}: '{name}' is there twice")
        pins[name] = Pin(name, match["version"], tuple(o.rpartition(":")[2] for o in options))
    return pins


def check(folder: Path = LOCKS) -> None:
    """Are the locks in `folder` sound, and made from their direct requirements? Needs no network.

    Raises
    ------
    LockError
        What is wrong, and where.
    """
    for source, names in MADE.items():
        text = (folder / f"{source}.in").read_text(encoding="utf-8")
        direct = parse_direct(text, f"{source}.in")
        locks = {}
        for name in names:
            lock = (folder / f"{name}.txt").read_text(encoding="utf-8")
            locks[name] = parse_lock(lock, f"{name}.txt")
            if f"# made from {fingerprint(text)}\n" not in lock:
                again = f"run python3 images/lock.py --only {source}"
                raise LockError(f"{name}.txt was not made from this {source}.in: {again}")
        for name, version in direct.items():
            if name not in locks[source] or locks[source][name].version != version:
                raise LockError(f"{source}.txt does not hold {name}=={version} of {source}.in")
        for name in names[1:]:
            if both := sorted(locks[source].keys() & locks[name].keys()):
                raise LockError(f"{name}.txt repeats {', '.join(both)} of {source}.txt")


def generate(sources: Iterable[str], folder: Path = LOCKS) -> None:
    """Resolve direct requirements, and write the locks that are made from them."""
    with tempfile.TemporaryDirectory() as scratch:
        python = _resolver(Path(scratch))
        for source in sources:
            text = (folder / f"{source}.in").read_text(encoding="utf-8")
            parse_direct(text, f"{source}.in")
            closures = [_closure(python, text, Path(scratch), os.environ)]
            if source == MAIN:
                closures.append(_cuda(python, text, Path(scratch), closures[0]))
            for name, closure in zip(MADE[source], closures, strict=True):
                lock = _render(text, _files(python, closure))
                parse_lock(lock, f"{name}.txt")
                (folder / f"{name}.txt").write_text(lock, encoding="utf-8")


def _closure(python: str, direct: str, scratch: Path, env: Any, *options: str) -> dict[str, str]:
    """Everything that direct requirements need; of those that stand alone, only themselves."""
    single = alone(direct)
    others = scratch / "direct.txt"
    together = [line for line in _requirements(direct) if not _ALONE.search(line)]
    others.write_text("\n".join(together), encoding="utf-8")
    found = _resolve(python, [f"-r{others}", *options], env)
    if single:
        found |= _resolve(python, ["--no-deps", *single], env)
    return dict(sorted(found.items()))


def _cuda(python: str, direct: str, scratch: Path, main: dict[str, str]) -> dict[str, str]:
    """What only the registry's torch needs: the closure with the registry alone, less `main`."""
    held = scratch / "held.txt"
    held.write_text("".join(f"{n}=={v}\n" for n, v in main.items()), encoding="utf-8")
    registry = {k: v for k, v in os.environ.items() if k != "PIP_FIND_LINKS"}
    registry["PIP_CONFIG_FILE"] = os.devnull
    everything = _closure(python, direct, scratch, registry, f"-c{held}")
    cuda = {name: version for name, version in everything.items() if name not in main}
    if not cuda:
        raise LockError("pip was offered no CPU build of torch here: the locks would be wrong")
    return cuda


def _render(direct: str, pins: Iterable[Pin]) -> str:
    head = (
        "# Written by images/lock.py for CPython 3.11 on Linux x86-64; do not edit.\n"
        f"# made from {fingerprint(direct)}\n"
    )
    return head + "".join(pin.render() + "\n" for pin in pins)


def _resolver(scratch: Path) -> str:
    python = scratch / "resolver" / "bin" / "python"
    subprocess.run([INTERPRETER, "-m", "venv", str(scratch / "resolver")], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", RESOLVER], check=True)
    return str(python)


def _resolve(python: str, what: Sequence[str], env: Any) -> dict[str, str]:
    """``{canonical name: public version}`` of everything that `what` needs."""
    command = [python, "-m", "pip", "install", "--quiet", "--quiet", "--dry-run", "--report", "-"]
    options = ["--ignore-installed", "--use-feature=fast-deps", *what]
    done = subprocess.run([*command, *options], env=env, stdout=subprocess.PIPE, check=True)
    found = (entry["metadata"] for entry in json.loads(done.stdout)["install"])
    return dict(sorted((canonical(m["name"]), m["version"].partition("+")[0]) for m in found))


def _files(python: str, closure: dict[str, str]) -> list[Pin]:
    """Ask the resolver's own pip, in its own process, which files may serve each version."""
    command = [python, __file__, "--files"]
    done = subprocess.run(
        command, input=json.dumps(closure).encode(), stdout=subprocess.PIPE, check=True
    )
    hashes: dict[str, list[str]] = json.loads(done.stdout)
    return [Pin(name, version, tuple(hashes[name])) for name, version in closure.items()]


def _candidates(closure: dict[str, str]) -> dict[str, list[str]]:
    """Digests of the wheels, or else the source archives, that serve this interpreter.

    Runs inside the resolver's environment, on the finder of the pip that is pinned above.
    """
    commands: Any = importlib.import_module("pip._internal.commands")
    command = commands.create_command("install")
    options, _ = command.parse_args([])
    with command.main_context():
        finder = command._build_package_finder(options, command._build_session(options))
        served: dict[str, list[str]] = {}
        for name, version in closure.items():
            links = [
                found.link
                for found in finder.find_all_candidates(name)
                if found.version.public == version
            ]
            chosen = [link for link in links if link.is_wheel] or links
            if not chosen:
                raise LockError(f"no file of {name}=={version} serves this interpreter")
            served[name] = sorted({_digest(link) for link in chosen})
    return served


def _digest(link: Any) -> str:
    if link.hash_name == "sha256":
        return str(link.hash)
    if not link.is_file:
        raise LockError(f"{link.filename}: the index gives no SHA-256")
    digest = hashlib.sha256()
    with Path(link.file_path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 0 done, 1 the locks are wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=MADE, help="resolve for this environment alone")
    parser.add_argument("--check", action="store_true", help="check the locks; needs no network")
    parser.add_argument("--files", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    try:
        if chosen.files:
            json.dump(_candidates(json.load(sys.stdin)), sys.stdout)
        elif chosen.check:
            check()
        else:
            generate([chosen.only] if chosen.only else MADE)
    except (LockError, OSError, subprocess.CalledProcessError) as error:
        print(f"images/lock.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
