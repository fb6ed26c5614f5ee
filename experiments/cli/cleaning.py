"""``--clean``: stop what is left over and remove what runs leave behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from experiments.errors import EnvironmentFault, SpecError
from experiments.paths import Artifacts, state
from experiments.runtime import engine, images, sweep
from experiments.runtime.definitions import owner
from experiments.runtime.process import end_leftovers, leftovers


def clean(*, everything: bool, ask: bool) -> int:
    """Remove run folders, clusters and stores; with ``everything`` all that can be made again.

    Asks first unless told not to. Processes and containers are stopped before their folders go.
    """
    here = state()
    artifacts = Artifacts()
    folders = [artifacts.runs, here.clusters, here.stores]
    if everything:
        folders += [artifacts.root / "figures", artifacts.root / "notebooks", here.datasets]
        folders += [artifacts.report, artifacts.provenance]
        folders += [here.ingested, here.generated]
        folders += [here.servers, here.code, here.environments, here.compiled]
        folders += [here.wheels, here.images]
    folders = [folder for folder in folders if folder.exists()]
    running = leftovers(here.clusters)
    for process in running:
        print(f"would stop process {process.pid}" if ask else f"stops process {process.pid}")
    removes = "would remove" if ask else "removes"
    for folder in folders:
        print(f"{removes} {folder} ({_size(folder) / 2**20:.0f} MiB)")
    with _engine() as client:
        contained = sweep.found(client, owner()) if client else []
        pictures = images.present(client) if client and everything else []
        for thing in contained:
            print(f"{removes} {type(thing).__name__.lower()} {thing.name} of the Docker engine")
        for name in pictures:
            print(f"{removes} image {name} of the Docker engine")
        if not (running or folders or contained or pictures):
            print("nothing to clean")
            return 0
        if ask and not _agreed():
            print("nothing removed")
            return 0
        end_leftovers(here.clusters)
        if contained:
            sweep.remove(client, owner())
        for name in pictures:
            images.remove(client, name)
    for folder in folders:
        _remove(folder)
    artifacts.crate.unlink(missing_ok=True)  # it describes what is gone
    return 0


@contextmanager
def _engine() -> Iterator[Any]:
    """A client of this machine's engine; None where none answers, so nothing of ours is in one."""
    try:
        client = engine.connect()
    except EnvironmentFault:
        yield None
        return
    with closing(client):
        yield client


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise EnvironmentFault(
            f"{folder}: cannot be removed ({error.strerror}: {error.filename}); "
            "give the command as its owner"
        ) from None


def _agreed() -> bool:
    try:
        return input("go on? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        raise SpecError("--clean asks and nobody answers: add --yes") from None


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
