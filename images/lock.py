"""Regenerate and check the lock files of the environment.

``locks/main.in`` holds the direct requirements, typed by hand. From it this tool writes

* ``locks/main.txt``: everything they need, with the SHA-256 of every wheel that may serve;
* ``locks/torch-cuda.txt``: what only the CUDA build of torch needs on top.

A lock names public versions only, so that one lock serves a machine whose torch is a CPU build
(version ``2.13.0+cpu``) and one that takes the registry's CUDA build (``2.13.0``): both wheels'
hashes stand under ``torch==2.13.0``. Where packages come from is pip's own configuration and
appears in no file.

Usage::

    python3 images/lock.py            resolve again and write both locks
    python3 images/lock.py --check    are the locks sound and made from main.in? (no network)

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
DIRECT, MAIN, CUDA = "main.in", "main.txt", "torch-cuda.txt"
INTERPRETER = "/usr/bin/python3.11"
RESOLVER = "pip==26.3"
"""Resolves from ranged reads of the wheels' metadata: nothing of several GB is downloaded."""

_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9._!+-]+)")
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


def fingerprint(direct: str) -> str:
    """SHA-256 over the direct requirements, independent of order and blank lines."""
    rows = sorted(line.strip() for line in direct.splitlines() if line.strip())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def parse_direct(text: str) -> dict[str, str]:
    """``{canonical name: version}`` of a file of bare pins.

    Raises
    ------
    LockError
        A line that is not ``name==version`` with a public version.
    """
    pins: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _PIN.fullmatch(line)
        if match is None or "+" in match["version"]:
            raise LockError(f"{DIRECT}: '{line}' is not NAME==PUBLIC-VERSION")
        pins[canonical(match["name"])] = match["version"]
    return pins


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
    """Are the locks in `folder` sound, and made from its ``main.in``? Needs no network.

    Raises
    ------
    LockError
        What is wrong, and where.
    """
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in (DIRECT, MAIN, CUDA)}
    direct = parse_direct(texts[DIRECT])
    main, cuda = (parse_lock(texts[name], name) for name in (MAIN, CUDA))
    for name in (MAIN, CUDA):
        if f"# made from {fingerprint(texts[DIRECT])}\n" not in texts[name]:
            raise LockError(f"{name} was not made from this {DIRECT}: run python3 images/lock.py")
    for name, version in direct.items():
        if name not in main or main[name].version != version:
            raise LockError(f"{MAIN} does not hold {name}=={version} of {DIRECT}")
    if both := sorted(main.keys() & cuda.keys()):
        raise LockError(f"{CUDA} repeats {', '.join(both)} of {MAIN}")


def generate(folder: Path = LOCKS) -> None:
    """Resolve ``main.in`` as pip is configured, and with the registry alone; write both locks.

    The second closure less the first is what only the registry's torch needs.
    """
    source = folder / DIRECT
    direct = source.read_text(encoding="utf-8")
    parse_direct(direct)
    with tempfile.TemporaryDirectory() as scratch:
        python = _resolver(Path(scratch))
        main = _resolve(python, [f"-r{source}"], os.environ)
        held = Path(scratch) / "held.txt"
        held.write_text("".join(f"{n}=={v}\n" for n, v in main.items()), encoding="utf-8")
        registry = {k: v for k, v in os.environ.items() if k != "PIP_FIND_LINKS"}
        everything = _resolve(
            python, [f"-r{source}", f"-c{held}"], {**registry, "PIP_CONFIG_FILE": os.devnull}
        )
        cuda = {name: version for name, version in everything.items() if name not in main}
        if not cuda:
            raise LockError("pip was offered no CPU build of torch here: the locks would be wrong")
        for name, closure in ((MAIN, main), (CUDA, cuda)):
            text = _render(direct, _files(python, closure))
            parse_lock(text, name)
            (folder / name).write_text(text, encoding="utf-8")


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
    parser.add_argument("--check", action="store_true", help="check the locks; needs no network")
    parser.add_argument("--files", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    try:
        if chosen.files:
            json.dump(_candidates(json.load(sys.stdin)), sys.stdout)
        elif chosen.check:
            check()
        else:
            generate()
    except (LockError, OSError, subprocess.CalledProcessError) as error:
        print(f"images/lock.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
