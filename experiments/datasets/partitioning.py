"""One pass over a split's partitions, into all forms that lack them."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.aside import make_folder, publish, remove, sync_folder
from experiments.datasets.formats import COPY, FORMS, Part, PartWriter, Rows
from experiments.datasets.ledger import LEDGER, Ledger
from experiments.datasets.manifest import DTYPES, MANIFEST, FileRecord, Manifest
from experiments.datasets.npy import npy_header
from experiments.datasets.recipe import Recipe
from experiments.datasets.shuffle import Permutation
from experiments.datasets.source import SPLITS, RowReader, Source, SourceInfo, Split
from experiments.errors import DataError, EnvironmentFault
from experiments.files import write_atomically

BLOCK_BYTES = 4 << 20
"""Size of the feature blocks in which rows are read and written; bounds the memory used."""

SCRATCH = "scratch"
COPY_ROW_BYTES = 32
"""Of a row of a stream beside its features and label: lengths, key and number."""

_MANIFEST_ROOM = 1 << 20


class Target:
    """A form's folder in the making, and which partitions of it are finished. A context manager."""

    def __init__(self, form: str, folder: Path, final: Path) -> None:
        self.form = form
        self.folder = folder
        self._final = final
        self._whole = (folder / MANIFEST).exists()  # a kill came between manifest and rename
        remove(folder / SCRATCH)
        self._ledger = Ledger(folder / LEDGER)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ledger.close()
        useless = kind is not None and issubclass(kind, DataError)
        if useless or not (self._ledger.lines or self._whole):  # nothing to go on from
            shutil.rmtree(self.folder, ignore_errors=True)

    def has(self, part: Part) -> bool:
        """Whether a partition is finished."""
        return self._whole or any(line["part"] == [*part] for line in self._ledger.lines)

    def write(self, recipe: Recipe, part: Part) -> PartWriter:
        """Begin a partition; what an earlier maker left of it is removed."""
        folder = self.folder / part[0] / str(part[1])
        remove(folder)
        make_folder(folder)
        return FORMS[self.form](self.folder, recipe, part)

    def finish(self, part: Part, files: Mapping[str, FileRecord]) -> None:
        """Note a partition that is finished."""
        sync_folder(self.folder / part[0] / str(part[1]))
        sync_folder(self.folder / part[0])
        records = {name: asdict(record) for name, record in files.items()}
        self._ledger.append({"part": part, "files": records})

    def publish(self, recipe: Recipe, source: Source) -> None:
        """Write the manifest, and give the folder its name."""
        if not self._whole:
            self._write_manifest(recipe, source.info)
        (self.folder / MANIFEST).chmod(0o644)  # whatever the umask
        remove(self.folder / LEDGER)
        publish(self.folder, self._final)

    def _write_manifest(self, recipe: Recipe, info: SourceInfo) -> None:
        files = {
            name: FileRecord.from_json(record)
            for line in self._ledger.lines
            for name, record in line["files"].items()
        }
        manifest = Manifest(recipe, info.description, info.licence, files, self.form)
        write_atomically(self.folder / MANIFEST, json.dumps(manifest.to_json(), indent=1) + "\n")


def fill(
    targets: Sequence[Target], recipe: Recipe, source: Source, report: Callable[[int], None]
) -> None:
    for split in SPLITS:
        parts = [part for part in recipe.parts() if part[0] == split]
        if all(target.has(part) for target in targets for part in parts):
            continue
        order = Permutation(source.rows(split), recipe.seed, split)
        scratch = targets[0].folder / SCRATCH
        scratch.mkdir()
        with source.open(split, scratch) as reader:
            for part in parts:
                lacking = [target for target in targets if not target.has(part)]
                if lacking:
                    _write_partition(lacking, recipe, _Pass(reader, order), part, report)
        remove(scratch)
    for target in targets:
        target.publish(recipe, source)


class _Pass(NamedTuple):
    """What a split's rows come from, and in which order."""

    reader: RowReader
    order: Permutation


def _write_partition(
    targets: Sequence[Target],
    recipe: Recipe,
    source: _Pass,
    part: Part,
    report: Callable[[int], None],
) -> None:
    start, stop = recipe.bounds(*part)
    step = max(1, BLOCK_BYTES // (4 * math.prod(recipe.input_shape)))
    with contextlib.ExitStack() as files:
        writers = []
        for target in targets:
            writer = target.write(recipe, part)
            files.callback(writer.close)
            writers.append(writer)
        for first in range(start, stop, step):
            rows = Rows(source.reader, source.order.block(first, min(first + step, stop)))
            _check_block(recipe, part[0], rows.numbers, *rows.dense)
            for writer in writers:
                writer.append(rows)
            report(len(rows.numbers))
        records = [writer.finish() for writer in writers]
    for target, files_of_part in zip(targets, records, strict=True):
        target.finish(part, files_of_part)


def _check_block(
    recipe: Recipe,
    split: Split,
    rows: NDArray[np.int64],
    x: NDArray[np.float32],
    y: NDArray[np.int16],
) -> None:
    if x.shape != (len(rows), *recipe.input_shape) or y.shape != (len(rows),):
        raise DataError(
            f"{recipe.name}: {split} rows of shape {list(x.shape[1:])}, "
            f"not {list(recipe.input_shape)}"
        )
    strange = ~np.isfinite(x.reshape(len(rows), -1)).all(axis=1)
    if strange.any():
        raise DataError(f"{recipe.name}: {split} row {rows[strange][0]} holds NaN or infinity")
    classes = len(recipe.class_names)
    strange = (y < 0) | (y >= classes)
    if strange.any():
        raise DataError(
            f"{recipe.name}: {split} row {rows[strange][0]} has label {y[strange][0]}, "
            f"outside 0..{classes - 1}"
        )


def check_disk(root: Path, recipe: Recipe, source: Source, targets: Sequence[Target]) -> None:
    """Room for what is lacking; no form is larger than arrays and what ``copy`` has beside them."""
    need = _MANIFEST_ROOM + max(source.scratch_bytes(split) for split in SPLITS)
    for part in recipe.parts():
        start, stop = recipe.bounds(*part)
        size = _npy_bytes(DTYPES["x"], (stop - start, *recipe.input_shape))
        size += _npy_bytes(DTYPES["y"], (stop - start,))
        need += sum(
            size + COPY_ROW_BYTES * (stop - start) * (target.form == COPY)
            for target in targets
            if not target.has(part)
        )
    free = shutil.disk_usage(root).free
    if free < need:
        raise EnvironmentFault(
            f"preparing {recipe.name} needs {need / 1e6:.0f} MB in {root}, "
            f"where {free / 1e6:.0f} MB are free"
        )


def _npy_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return len(npy_header(dtype, shape)) + math.prod(shape) * np.dtype(dtype).itemsize
