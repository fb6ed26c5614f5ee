"""Where samples lie: lines of JSON while a run goes on, Parquet afterwards.

A live file's line is a header or a sample, written by one call and not fsynced: a sampler that is
killed leaves whole lines and at most one torn end, which the next one cuts off. The Parquet file of
a node has one row per value; its headers are in the file's metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.errors import DataError
from experiments.files import unwritable, write_atomically
from experiments.telemetry.readings import Header, Sample

if TYPE_CHECKING:
    import pyarrow

LIVE, KEPT = "node-{}.jsonl", "node-{}.parquet"
"""A node's file, while the run goes on and afterwards."""
HEADERS = b"cerebro-ds.headers"
COLUMNS = ("start", "mono_ns", "wall", "source", "name", "counter", "value")
"""Of the Parquet file: ``start`` is the index of the header that the sample came after."""
_TEXTS = ("source", "name", "counter")


class LiveFile:
    """Appends to a node's live file; a torn end is cut off first.

    Raises
    ------
    EnvironmentFault
        It cannot be made, or the disk is full; it ends with a whole line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            whole = path.read_bytes().rfind(b"\n") + 1
            os.ftruncate(self._fd, whole)
        except OSError as error:
            raise unwritable(path, error) from error

    def header(self, header: Header) -> None:
        self._append({"header": asdict(header)})

    def sample(self, sample: Sample) -> None:
        self._append({"at": [sample.mono_ns, sample.wall], **sample.readings})

    def _append(self, line: Mapping[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        end = os.fstat(self._fd).st_size
        try:
            while data:  # a signal or a nearly full disk may cut a write short
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            os.ftruncate(self._fd, end)
            raise unwritable(self._path, error) from error

    def close(self) -> None:
        os.close(self._fd)


def read_live(path: Path) -> tuple[list[Header], list[tuple[int, Sample]]]:
    """Headers, and samples with the index of their header; a torn end is dropped.

    Raises
    ------
    DataError
        Another line is damaged; the message names file and line.
    """
    headers: list[Header] = []
    samples: list[tuple[int, Sample]] = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                found = json.loads(line)
                if "header" in found:
                    headers.append(Header(**found["header"]))
                    continue
                mono_ns, wall = found.pop("at")
                samples.append((len(headers) - 1, Sample(mono_ns, wall, found)))
            except (ValueError, TypeError, KeyError) as error:
                raise DataError(f"{path}: line {number} is no sample ({error})") from None
    return headers, samples


def keep(live: Path, kept: Path) -> None:
    """Write a live file's samples as Parquet, whole or not at all.

    Raises
    ------
    DataError
        The live file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    headers, samples = read_live(live)
    rows = list(_rows(samples))
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    types = dict(zip(COLUMNS, (pa.int32(), pa.int64(), pa.float64()), strict=False))
    arrays = {
        name: pa.array(values, types.get(name, pa.string() if name in _TEXTS else pa.int64()))
        for name, values in zip(COLUMNS, columns, strict=True)
    }
    for name in _TEXTS:
        arrays[name] = arrays[name].dictionary_encode()
    table = pa.table(arrays)
    told = json.dumps([asdict(header) for header in headers])
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({HEADERS: told}), buffer, compression="zstd")
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, memoryview(buffer.getvalue()))


def _rows(samples: Iterable[tuple[int, Sample]]) -> Iterable[tuple[Any, ...]]:
    for start, sample in samples:
        for source, reading in sample.readings.items():
            for name, counters in reading.items():
                for counter, value in counters.items():
                    yield start, sample.mono_ns, sample.wall, source, name, counter, value


def keep_all(live: Path, kept: Path) -> list[DataError]:
    """The samples of all nodes; what was wrong with those that are damaged, and left out."""
    damaged = []
    for path in sorted(live.glob(LIVE.format("*"))):
        try:
            keep(path, kept / Path(KEPT.format(path.stem.removeprefix("node-"))))
        except DataError as error:
            damaged.append(error)
    return damaged


def kept_files(folder: Path) -> list[Path]:
    """The kept files of a run, in the order of their nodes' names."""
    return sorted(folder.glob(KEPT.format("*")))


def read(path: Path) -> tuple[Sequence[Header], pyarrow.Table]:
    """A kept file: its headers, and a table of :data:`COLUMNS`.

    Raises
    ------
    DataError
        It is not such a file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        headers = [Header(**each) for each in json.loads(table.schema.metadata[HEADERS])]
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: is no file of samples ({error})") from None
    return headers, table
