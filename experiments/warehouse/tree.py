"""A PostgreSQL server tree that holds our extension, without touching the system's.

PostgreSQL finds its ``share`` and ``lib`` folders relative to the folder of its own executable, so
a copy of three executables beside symbolic links to everything else is a full installation whose
``extension`` folder is ours to fill. It needs no root, and several revisions live side by side.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import EnvironmentFault
from experiments.paths import EXTENSION, PACKAGE, state

VERSION = 15
SYSTEM_LIB = Path(f"/usr/lib/postgresql/{VERSION}")
SYSTEM_SHARE = Path(f"/usr/share/postgresql/{VERSION}")
EXECUTABLES = ("postgres", "initdb", "pg_ctl")


@dataclass(frozen=True)
class ServerTree:
    """A relocated installation. ``python_path`` is what PL/Python's interpreter must see."""

    root: Path
    python_path: str

    @property
    def bin(self) -> Path:
        return self.root / "lib" / "postgresql" / str(VERSION) / "bin"


def server_tree() -> ServerTree:
    """The tree for this revision of the extension and this code, made if it is not there.

    Raises
    ------
    EnvironmentFault
        PostgreSQL or PL/Python is not installed.
    """
    if not (SYSTEM_LIB / "bin" / "postgres").exists():
        raise EnvironmentFault(
            f"PostgreSQL {VERSION} is not installed: apt-get install postgresql-{VERSION}"
        )
    if not (SYSTEM_LIB / "lib" / "plpython3.so").exists():
        raise EnvironmentFault(
            f"PL/Python is not installed: apt-get install postgresql-plpython3-{VERSION}"
        )
    binary = (SYSTEM_LIB / "bin" / "postgres").stat()
    name = _digest(_files(EXTENSION), f"{VERSION} {binary.st_size} {binary.st_mtime_ns}")
    root = state().servers / name
    if not root.exists():
        _build(root)
    python_path = os.pathsep.join((sysconfig.get_paths()["purelib"], str(code_snapshot())))
    return ServerTree(root, python_path)


def code_snapshot() -> Path:
    """A copy of this package that a server's unprivileged user can read; its parent folder.

    The checkout may lie in a home of mode 0700, and a running server must not see half an edit.
    """
    files = [path for path in _files(PACKAGE) if path.suffix in {".py", ".toml"}]
    root = state().code / _digest(files)
    if root.exists():
        return root
    aside = _aside(root)
    for path in files:
        target = aside / PACKAGE.name / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return _publish(aside, root)


def _build(root: Path) -> None:
    aside = _aside(root)
    lib = aside / "lib" / "postgresql" / str(VERSION)
    share = aside / "share" / "postgresql" / str(VERSION)
    (lib / "bin").mkdir(parents=True)
    (share / "extension").mkdir(parents=True)
    for name in EXECUTABLES:
        shutil.copy2(SYSTEM_LIB / "bin" / name, lib / "bin" / name)
    (lib / "lib").symlink_to(SYSTEM_LIB / "lib")
    for path in SYSTEM_SHARE.iterdir():
        if path.name != "extension":
            (share / path.name).symlink_to(path)
    for path in (SYSTEM_SHARE / "extension").iterdir():
        (share / "extension" / path.name).symlink_to(path)
    for path in _files(EXTENSION):
        shutil.copyfile(path, share / "extension" / path.name)
    _publish(aside, root)


def _aside(root: Path) -> Path:
    root.parent.mkdir(parents=True, exist_ok=True)
    aside = root.with_name(f".{root.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    return aside


def _publish(aside: Path, root: Path) -> Path:
    """Make the folder readable by everyone and rename it into place; losing a race is fine."""
    for path in [aside, *aside.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    try:
        aside.rename(root)
    except OSError:
        shutil.rmtree(aside)
        if not root.exists():
            raise
    return root


def _files(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )


def _digest(files: Iterable[Path], *words: str) -> str:
    digest = hashlib.blake2b("\0".join(words).encode(), digest_size=8)
    for path in files:
        digest.update(f"\0{path.name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
