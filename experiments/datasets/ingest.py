"""Raw downloads to records: one pass over archives, of which a kill loses at most one shard.

Records have a fixed size and lie in raw order, so that any row can then be had by its number; the
seeded shuffle comes later, when partitions are made. A shard of each split is closed, and noted in
a ledger together with where to go on, whenever enough records have come.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from experiments.datasets.aside import aside, make_folder, publish, remove, sweep, sync_folder
from experiments.datasets.ingested import (
    MANIFEST,
    REJECTED,
    Ingested,
    IngestedManifest,
    Shard,
    record_type,
    shard_file,
)
from experiments.datasets.ledger import LEDGER, Ledger
from experiments.datasets.raw import Block, RawData, Records, Rejected
from experiments.datasets.recipe import code_version
from experiments.datasets.source import SPLITS, Split
from experiments.errors import DataError, EnvironmentFault
from experiments.files import unwritable
from experiments.paths import STATE_VARIABLE

RECORDS = 1
"""Version of what stands in records; a change of it makes those of earlier ones useless."""

SHARD_BYTES = 256 << 20
"""Of records; what a kill loses at most."""

REJECTS_ALWAYS_ALLOWED = 10
ROWS_AT_LEAST = 100_000
"""Of which the allowed share is taken while there are fewer: bad rows may come together."""


@dataclass(frozen=True)
class Passed:
    """How far an ingestion is.

    Attributes
    ----------
    position, size : bytes of raw files read, and of all.
    rows, rejected : so far.
    """

    position: int
    size: int
    rows: int
    rejected: int


def ingest(
    raw: RawData, final: Path, report: Callable[[Passed], None] = lambda passed: None
) -> Ingested:
    """Make the folder of records, go on making it, or open it if it is there.

    Raises
    ------
    DataError
        A raw file is missing or damaged, too many rows had to be rejected, or the folder was made
        or begun from other raw files.
    EnvironmentFault
        The disk is full, or will be by what the first shards took, or the folder cannot be
        written; shards that are done are kept.
    """
    identity = _identity(raw)
    if not final.exists():
        raw.check()
        try:
            make_folder(final.parent)
            with aside(final) as folder:
                if folder is not None:
                    _Ingestion(raw, folder, identity, report).run()
                    publish(folder, final)
            sweep(final.parent)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise unwritable(final, error) from error
    ingested = Ingested.open(final)
    _check_identity(ingested.manifest.identity, identity, final)
    return ingested


def _identity(raw: RawData) -> dict[str, Any]:
    """What decides the records, as JSON gives it back."""
    said = {**raw.identity(), "records": RECORDS, "code": code_version()}
    return dict(json.loads(json.dumps(said)))


def _check_identity(found: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    differing = sorted(
        key for key in {*found, *wanted} if found.get(key) != wanted.get(key) and key != "code"
    )
    if differing:
        raise DataError(
            f"{folder} was made from other raw data or by another version ({', '.join(differing)} "
            "differ); remove that folder to make it anew"
        )


class _Ingestion:
    """One pass, from where the folder's ledger ends."""

    def __init__(
        self,
        raw: RawData,
        folder: Path,
        identity: dict[str, Any],
        report: Callable[[Passed], None],
    ) -> None:
        self._raw = raw
        self._folder = folder
        self._identity = identity
        self._report = report
        self._record = record_type(raw.record_dtype, raw.record_shape)
        self._shards: list[Shard] = []
        self._open: dict[Split, _OpenShard] = {}
        self._noted: Counter[str] = Counter()
        self._position = 0
        self._rejects = 0

    def run(self) -> None:
        if (self._folder / MANIFEST).exists():  # killed between the last line and the rename
            remove(self._folder / LEDGER)
            return
        self._forget_other_code()
        with Ledger(self._folder / LEDGER) as ledger, contextlib.ExitStack() as files:
            cursor = self._resume(ledger)
            self._rejected = files.enter_context((self._folder / REJECTED).open("ab"))
            files.callback(self._close)
            for block in self._raw.blocks(cursor):
                self._take(block)
                if sum(shard.bytes for shard in self._open.values()) >= SHARD_BYTES:
                    self._commit(ledger, block)
                self._tell()
            self._commit(ledger, None)
            self._finish()
        remove(self._folder / LEDGER)

    @property
    def _rows(self) -> int:
        closed = sum(shard.rows for shard in self._shards)
        return closed + sum(shard.rows for shard in self._open.values())

    def _tell(self) -> None:
        self._report(Passed(self._position, self._raw.size(), self._rows, self._rejects))

    def _forget_other_code(self) -> None:
        """Records of two versions of this code do not mix: begin again."""
        with Ledger(self._folder / LEDGER) as ledger:
            begun = [line["identity"] for line in ledger.lines[:1]]
        if any(identity["code"] != self._identity["code"] for identity in begun):
            for path in (*SPLITS, REJECTED, LEDGER):
                remove(self._folder / path)

    def _resume(self, ledger: Ledger) -> Any:
        """Forget what came after the ledger's last line; where to go on."""
        if not ledger.lines:
            ledger.append({"identity": self._identity})
        _check_identity(ledger.lines[0]["identity"], self._identity, self._folder)
        for line in ledger.lines[1:]:
            self._shards += [Shard(**shard) for shard in line["shards"]]
        last = ledger.lines[-1]
        self._noted.update(last.get("noted", {}))
        self._rejects = int(last.get("rejected", 0))
        self._position = int(last.get("position", 0))
        for torn in self._folder.glob(f".{MANIFEST}.*"):
            torn.unlink()
        kept = {shard.file for shard in self._shards}
        for split in SPLITS:
            make_folder(self._folder / split)
            for path in (self._folder / split).iterdir():
                if str(path.relative_to(self._folder)) not in kept:
                    path.unlink()
        with (self._folder / REJECTED).open("ab") as file:
            file.truncate(int(last.get("rejected_bytes", 0)))
        return last.get("cursor")

    def _take(self, block: Block) -> None:
        for split, rows in block.rows.items():
            if len(rows[1]):
                if split not in self._open:
                    number = sum(shard.split == split for shard in self._shards)
                    self._open[split] = _OpenShard(self._folder, split, number)
                self._open[split].append(self._packed(rows))
        self._noted.update(block.noted)
        self._position = block.position
        for rejected in block.rejected:
            self._reject(rejected)

    def _packed(self, rows: Records) -> np.ndarray[Any, Any]:
        x, y = rows
        packed = np.empty(len(y), self._record)
        packed["x"], packed["y"] = x, y
        return packed

    def _reject(self, rejected: Rejected) -> None:
        self._rejects += 1
        line = {
            "file": rejected.file,
            "where": rejected.where,
            "why": rejected.why,
            "content": rejected.content.decode("latin-1"),
        }
        self._rejected.write(json.dumps(line).encode() + b"\n")
        share = self._raw.rejects_allowed
        rows = max(ROWS_AT_LEAST, self._rows + self._rejects)
        if self._rejects > max(REJECTS_ALWAYS_ALLOWED, share * rows):
            self._rejected.flush()
            raise DataError(
                f"{self._rejects} rows of {self._raw.info.name} had to be left out, beside "
                f"{self._rows} good ones (at most {share:.2%} may be): the last, {rejected.file}, "
                f"{rejected.where} {rejected.why}; all are listed in {self._folder / REJECTED}"
            )

    def _commit(self, ledger: Ledger, block: Block | None) -> None:
        """Close the shards, and note them and where to go on."""
        closed = [self._open.pop(split).close() for split in SPLITS if split in self._open]
        for split in {shard.split for shard in closed}:
            sync_folder(self._folder / split)
        self._rejected.flush()
        os.fsync(self._rejected.fileno())
        self._shards += closed
        if block is not None:
            ledger.append(
                {
                    "cursor": block.cursor,
                    "position": block.position,
                    "shards": [asdict(shard) for shard in closed],
                    "noted": dict(self._noted),
                    "rejected": self._rejects,
                    "rejected_bytes": self._rejected.tell(),
                }
            )
            self._check_disk()

    def _check_disk(self) -> None:
        """Refuse to go on when what is left of the archives will not fit."""
        written = sum(shard.bytes for shard in self._shards)
        left = self._raw.size() - self._position
        needed = int(written / max(1, self._position) * left)
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise EnvironmentFault(
                f"the records of {self._raw.info.name} need about {needed / 2**30:.1f} GiB more "
                f"and {self._folder.parent} has {free / 2**30:.1f} GiB free: free some, or set "
                f"{STATE_VARIABLE} to another folder; what is done is kept"
            )

    def _finish(self) -> None:
        info = self._raw.info
        manifest = IngestedManifest(
            name=info.name,
            description=info.description,
            licence=info.licence,
            input_shape=info.input_shape,
            class_names=info.class_names,
            dtype=self._raw.record_dtype,
            shape=self._raw.record_shape,
            identity=self._identity,
            shards=tuple(self._shards),
            noted=dict(sorted(self._noted.items())),
            rejected=self._rejects,
        )
        for split in SPLITS:
            if not manifest.rows(split):
                raise DataError(f"{info.name} has no {split} rows")
        manifest.write(self._folder)

    def _close(self) -> None:
        for shard in self._open.values():
            shard.file.close()


class _OpenShard:
    """A shard that is being written."""

    def __init__(self, folder: Path, split: Split, number: int) -> None:
        self._split = split
        self._name = shard_file(split, number)
        self._digest = hashlib.sha256()
        self.file: BinaryIO = (folder / self._name).open("xb", buffering=0)
        self.rows = 0
        self.bytes = 0

    def append(self, records: np.ndarray[Any, Any]) -> None:
        data = records.view(np.uint8).data
        self._digest.update(data)
        self.rows += len(records)
        self.bytes += len(data)
        while data:
            data = data[self.file.write(data) :]

    def close(self) -> Shard:
        os.fsync(self.file.fileno())
        self.file.close()
        return Shard(self._split, self._name, self.rows, self.bytes, self._digest.hexdigest())


def rejected_rows(folder: Path) -> Iterator[Rejected]:
    """What was left out of an ingested folder."""
    with (folder / REJECTED).open(encoding="utf-8") as file:
        for line in file:
            said = json.loads(line)
            yield Rejected(**{**said, "content": said["content"].encode("latin-1")})
