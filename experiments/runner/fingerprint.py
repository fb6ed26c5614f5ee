"""What can change a run's result, as named parts, so that a change can be told by its name."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from experiments.paths import CHECKOUT, EXTENSION, LOCKS, MAIN_ENVIRONMENT, PACKAGE
from experiments.runtime import choice
from experiments.specs.load import approaches
from experiments.specs.model import RunSpec


def parts(spec: RunSpec, runtime: str = choice.LOCAL) -> dict[str, str]:
    """The parts of a run's fingerprint: ``spec``, the locks, and ``code of <room>`` for each room.

    What ran in containers or on a cluster took other times than what ran as processes of this
    machine, so ``runtime`` is a part of it there.

    Code counts if the approach's module or the driver imports it, directly or not, or the database
    extension that it uses does; how roles are started does not. The specification files count
    through the spec they produce. The data set's content follows from spec, seed and the code of
    ``datasets``.
    """
    digests = {
        "spec": _digest([json.dumps(spec.to_json(), sort_keys=True).encode()]),
        "lock": _digest([LOCKS[MAIN_ENVIRONMENT][0].read_bytes()]),
    }
    if runtime != choice.LOCAL:
        digests["runtime"] = runtime
    row = approaches()[spec.approach]
    if row.environment is not None:
        locks = LOCKS[row.environment]
        digests[f"lock of {row.environment}"] = _digest(lock.read_bytes() for lock in locks)
    rooms: dict[str, list[Path]] = {}
    starts = (f"experiments.approaches.{row.module}", "experiments.runner.drive")
    found = _imported(starts)
    if any(path.is_relative_to(EXTENSION.parent) for path in found):
        found = _imported((*starts, *_extension_modules()))
    for path in found:
        rooms.setdefault(path.relative_to(PACKAGE).parts[0], []).append(path)
    if "warehouse" in rooms:
        rooms["warehouse"].extend(_extension_files())
    for room, files in sorted(rooms.items()):
        digests[f"code of {room}"] = _digest(path.read_bytes() for path in sorted(files))
    return digests


def short(digests: Mapping[str, str]) -> str:
    """Eight hexadecimal digits for a folder's name."""
    return _digest([json.dumps(digests, sort_keys=True).encode()])[:8]


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Names of the parts that differ, in order."""
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def _extension_files() -> list[Path]:
    return [path for path in EXTENSION.iterdir() if path.is_file()]


@functools.cache
def _extension_modules() -> tuple[str, ...]:
    """Modules that the extension's functions import inside the server."""
    text = "".join(path.read_text(encoding="utf-8") for path in _extension_files())
    found = re.findall(r"^from (experiments[\w.]*) import (\w+)$", text, re.MULTILINE)
    return tuple(sorted({f"{package}.{module}" for package, module in found}))


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
