"""The files of a cluster's runs: on volumes of its engines, reached through a node's holder."""

from __future__ import annotations

import contextlib
import io
import shutil
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.errors import ServerDied
from experiments.paths import RunFolder
from experiments.runtime.containers import ContainerDriver
from experiments.runtime.definitions import IMAGE_USER
from experiments.telemetry.journal import Journal

PULL_SECONDS = 1.0


class NodeFiles:
    """Commands and files of a node.

    Parameters
    ----------
    container : the node's holder, which runs.
    """

    def __init__(self, container: Any) -> None:
        self._container = container

    def run(self, *command: str) -> bytes:
        """What a command there says.

        Raises
        ------
        ServerDied
            It fails.
        """
        done = self._container.exec_run(list(command), demux=True)
        output, errors = (part or b"" for part in done.output)
        if done.exit_code != 0:
            said = errors.decode(errors="replace").strip()
            raise ServerDied(f"{self._container.name}: {' '.join(command)}: {said}")
        return bytes(output)

    def remove(self, *paths: Path) -> None:
        """Remove files and folders; nothing happens where there are none."""
        self.run("rm", "-rf", *map(str, paths))

    def put(self, folder: Path, target: Path, names: Sequence[str]) -> None:
        """Copy those of some files of a local folder that are there into a folder on the node."""
        packed = io.BytesIO()

        def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
            entry.uid = entry.gid = IMAGE_USER
            return entry

        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name in names:
                if (folder / name).exists():
                    archive.add(folder / name, name, filter=owned)
        self.run("mkdir", "-p", str(target))
        self._container.put_archive(str(target), packed.getvalue())

    def fetch(self, folder: Path, target: Path) -> None:
        """Copy the files of a folder of the node's, and of those in it, below a local one."""
        blocks, _ = self._container.get_archive(str(folder))
        with tempfile.TemporaryFile() as packed:
            for block in blocks:
                packed.write(block)
            packed.seek(0)
            with tarfile.open(fileobj=packed) as archive:
                for entry in archive:
                    # The first part is the folder's own name; the rest may not lead elsewhere.
                    inner = Path(*Path(entry.name).parts[1:])
                    content = archive.extractfile(entry) if entry.isfile() else None
                    if content is not None and ".." not in inner.parts:
                        (target / inner).parent.mkdir(parents=True, exist_ok=True)
                        with (target / inner).open("wb") as file:
                            shutil.copyfileobj(content, file)


class FollowedRun:
    """A run's folder here and the one of the same run on node 0, where its driver writes.

    The journal here grows with the one there.
    """

    def __init__(self, files: NodeFiles, here: RunFolder, there: Path) -> None:
        self._files = files
        self._here = here
        self._there = RunFolder(there)
        self._pulled = 0.0

    def send(self) -> None:
        """Copy what the driver goes on from."""
        # If this process's forerunner was killed, the driver there came further than it knew.
        self.pull()
        if self._here.journal.exists():
            # A torn last line, which the driver would cut off: from then on both would differ.
            Journal(self._here.journal, self._here.root.name).close()
        journals = [journal.name for journal in self._here.earlier]
        kept = [self._here.run, self._here.topology, self._here.journal]
        self._files.remove(self._there.root)
        self._files.put(
            self._here.root, self._there.root, [*journals, *(path.name for path in kept)]
        )

    def pull(self) -> None:
        """Append what is new of the journal, if it is time."""
        if time.monotonic() < self._pulled + PULL_SECONDS:
            return
        self._pulled = time.monotonic()
        size = self._here.journal.stat().st_size if self._here.journal.exists() else 0
        with contextlib.suppress(ServerDied):  # there is none yet
            new = self._files.run("tail", "--bytes", f"+{size + 1}", str(self._there.journal))
            if new:
                with self._here.journal.open("ab") as journal:
                    journal.write(new)

    def _complete(self, whole: Path) -> None:
        """Append what the journal here lacks of the one that the driver left."""
        if not whole.exists():
            return
        size = self._here.journal.stat().st_size if self._here.journal.exists() else 0
        with whole.open("rb") as left, self._here.journal.open("ab") as journal:
            left.seek(size)
            shutil.copyfileobj(left, journal)

    def fetch(self) -> None:
        """Copy what the driver left: its journal's end, models and, last, its result."""
        with tempfile.TemporaryDirectory(dir=self._here.root, prefix=".fetched-") as aside:
            self._files.fetch(self._there.root, Path(aside))
            left = RunFolder(Path(aside))
            self._complete(left.journal)
            if left.models.exists():
                shutil.rmtree(self._here.models, ignore_errors=True)
                left.models.rename(self._here.models)
            if left.result.exists():
                left.result.rename(self._here.result)


class FollowedDriver(ContainerDriver):
    """A driver whose run's folder is followed; parameters as :class:`ContainerDriver`'s."""

    def __init__(self, container: Any, log: Path, run: FollowedRun) -> None:
        self._run = run
        self._fetched = False
        super().__init__(container, log)

    def wait(self, seconds: float) -> int | None:
        status = super().wait(seconds)
        if status is None:
            self._run.pull()
        elif not self._fetched:
            self._run.fetch()
            self._fetched = True
        return status
