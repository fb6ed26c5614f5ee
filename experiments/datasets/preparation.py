"""From a source's rows to W partitions of memory-mappable arrays, in one atomic step."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.aside import aside, make_folder, publish, sweep, sync_folder
from experiments.datasets.manifest import DTYPES, MANIFEST, FileRecord, Manifest, array_file
from experiments.datasets.npy import NpyWriter, npy_header
from experiments.datasets.prepared import PreparedDataset
from experiments.datasets.recipe import Recipe
from experiments.datasets.registry import find_source
from experiments.datasets.shuffle import Permutation
from experiments.datasets.source import SPLITS, RowReader, Source, Split
from experiments.errors import DataError, EnvironmentFault
from experiments.paths import state
from experiments.specs.model import DatasetSpec

BLOCK_BYTES = 4 << 20
"""Size of the feature blocks in which rows are read and written; bounds the memory used."""

_MANIFEST_ROOM = 1 << 20


def fingerprint(spec: DatasetSpec, partitions: int, seed: int) -> str:
    """Fingerprint that :func:`prepare` would give, without opening a file.

    Raises
    ------
    SpecError
        As :func:`prepare`.
    """
    return Recipe.of(spec, find_source(spec.name), partitions, seed).fingerprint


def is_prepared(spec: DatasetSpec, partitions: int, seed: int) -> bool:
    """Whether the folder that :func:`prepare` would make is there."""
    recipe = Recipe.of(spec, find_source(spec.name), partitions, seed)
    return (state().datasets / recipe.folder).exists()


def check(spec: DatasetSpec, partitions: int, seed: int, root: Path | None = None) -> None:
    """Refuse at once what :func:`prepare` would refuse without reading a row.

    Raises
    ------
    SpecError
        As :func:`prepare`.
    DataError
        The folder that was prepared before is damaged; files are compared by their sizes.
    """
    recipe = Recipe.of(spec, find_source(spec.name), partitions, seed)
    folder = (state().datasets if root is None else root) / recipe.folder
    if folder.exists():
        PreparedDataset.open(folder).verify(quick=True)


def prepare(
    spec: DatasetSpec,
    partitions: int,
    seed: int,
    root: Path | None = None,
    *,
    source: Source | None = None,
) -> PreparedDataset:
    """Shuffle, cut and write a data set, or open it if that was done before.

    The rows of a split are the first rows of its seeded shuffle; the partitions are consecutive
    stretches of them, balanced to within one row. Memory does not grow with the number of rows.
    The folder appears whole or not at all, and several processes may prepare at once. A folder
    that is there is checked by file sizes; call :meth:`PreparedDataset.verify` for digests.

    Parameters
    ----------
    spec : name and rows of each split.
    partitions : W, at least 1.
    seed : of the shuffle.
    root : folder of prepared data sets; ``state().datasets`` unless given.
    source : used in place of the registered source of ``spec.name``.

    Raises
    ------
    SpecError
        Unknown name, more rows than the source has, fewer rows than partitions.
    DataError
        A raw file is missing or damaged, or the folder that is there is.
    EnvironmentFault
        Not enough disk, or the folder cannot be written.
    """
    source = find_source(spec.name) if source is None else source
    recipe = Recipe.of(spec, source, partitions, seed)
    root = state().datasets if root is None else root
    final = root / recipe.folder
    with _disk_faults(root):
        make_folder(root)
        sweep(root)
        if not final.exists():
            _check_disk(root, recipe, source)
            with aside(final) as folder:
                _fill(folder, recipe, source)
                publish(folder, final)
    prepared = PreparedDataset.open(final)
    prepared.verify(quick=True)
    return prepared


def _fill(folder: Path, recipe: Recipe, source: Source) -> None:
    files: dict[str, FileRecord] = {}
    for split in SPLITS:
        order = Permutation(source.rows(split), recipe.seed, split)
        scratch = folder / "scratch"
        scratch.mkdir()
        with source.open(split, scratch) as reader:
            make_folder(folder / split)
            for partition in range(recipe.partitions):
                files |= _write_partition(folder, recipe, reader, order, (split, partition))
            sync_folder(folder / split)
        shutil.rmtree(scratch)
    manifest = Manifest(recipe, source.info.description, source.info.licence, files)
    with (folder / MANIFEST).open("x", encoding="utf-8") as file:
        json.dump(manifest.to_json(), file, indent=1)
        file.write("\n")
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    sync_folder(folder)


def _write_partition(
    folder: Path,
    recipe: Recipe,
    reader: RowReader,
    order: Permutation,
    part: tuple[Split, int],
) -> dict[str, FileRecord]:
    start, stop = recipe.bounds(*part)
    x_name, y_name = array_file(*part, "x"), array_file(*part, "y")
    make_folder((folder / x_name).parent)
    step = max(1, BLOCK_BYTES // (4 * math.prod(recipe.input_shape)))
    with (
        NpyWriter(folder / x_name, DTYPES["x"], (stop - start, *recipe.input_shape)) as x_file,
        NpyWriter(folder / y_name, DTYPES["y"], (stop - start,)) as y_file,
    ):
        for first in range(start, stop, step):
            rows = order.block(first, min(first + step, stop))
            x, y = reader.take(rows)
            _check_block(recipe, part[0], rows, x, y)
            x_file.append(x)
            y_file.append(y)
        records = {x_name: x_file.finish(), y_name: y_file.finish()}
    sync_folder((folder / x_name).parent)
    return records


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


def _check_disk(root: Path, recipe: Recipe, source: Source) -> None:
    need = _MANIFEST_ROOM + max(source.scratch_bytes(split) for split in SPLITS)
    for part in recipe.parts():
        start, stop = recipe.bounds(*part)
        need += _npy_bytes(DTYPES["x"], (stop - start, *recipe.input_shape))
        need += _npy_bytes(DTYPES["y"], (stop - start,))
    free = shutil.disk_usage(root).free
    if free < need:
        raise EnvironmentFault(
            f"preparing {recipe.name} needs {need / 1e6:.0f} MB in {root}, "
            f"where {free / 1e6:.0f} MB are free"
        )


def _npy_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return len(npy_header(dtype, shape)) + math.prod(shape) * np.dtype(dtype).itemsize


@contextmanager
def _disk_faults(root: Path) -> Iterator[None]:
    """Turn a full or forbidden disk into one line that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EnvironmentFault(f"the disk of {root} is full: {error.strerror}") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise EnvironmentFault(f"{root} cannot be written: {error}") from error
        raise
