"""What can change a run's result, as named parts, so that a change can be told by its name."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from experiments.paths import CHECKOUT, EXTENSION, LOCK, PACKAGE
from experiments.specs.load import approaches
from experiments.specs.model import RunSpec


def parts(spec: RunSpec) -> dict[str, str]:
    """The parts of a run's fingerprint: ``spec``, ``lock``, and ``code of <room>`` for each room.

    Code counts if the approach's module imports it, directly or not; the specification files count
    through the spec they produce. The data set's content follows from spec, seed and the code of
    ``datasets``.
    """
    digests = {
        "spec": _digest([json.dumps(spec.to_json(), sort_keys=True).encode()]),
        "lock": _digest([LOCK.read_bytes()]),
    }
    rooms: dict[str, list[Path]] = {}
    module = approaches()[spec.approach].module
    for path in _imported((f"experiments.approaches.{module}", "experiments.runner.drive")):
        rooms.setdefault(path.relative_to(PACKAGE).parts[0], []).append(path)
    if "warehouse" in rooms:
        rooms["warehouse"].extend(path for path in EXTENSION.iterdir() if path.is_file())
    for room, files in sorted(rooms.items()):
        digests[f"code of {room}"] = _digest(path.read_bytes() for path in sorted(files))
    return digests


def short(digests: Mapping[str, str]) -> str:
    """Eight hexadecimal digits for a folder's name."""
    return _digest([json.dumps(digests, sort_keys=True).encode()])[:8]


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Names of the parts that differ, in order."""
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


@functools.cache
def _imported(modules: tuple[str, ...]) -> frozenset[Path]:
    """Files of this package that the modules import, at any depth, function bodies included."""
    found: set[Path] = set()
    pending = list(modules)
    while pending:
        path = _file(pending.pop())
        if path is None or path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                pending.extend(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                pending.append(node.module)
                pending.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(path for path in found if path.parent != PACKAGE or path.stem != "__init__")


def _file(module: str) -> Path | None:
    if not module.startswith("experiments."):
        return None
    base = CHECKOUT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _digest(chunks: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for chunk in chunks:
        digest.update(hashlib.blake2b(chunk, digest_size=16).digest())
    return digest.hexdigest()
