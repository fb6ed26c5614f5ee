"""From a source's rows to W partitions on disk: a kill loses at most one partition of them."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from experiments.datasets.aside import (
    aside,
    make_folder,
    sweep,
)
from experiments.datasets.manifest import ARRAYS
from experiments.datasets.partitioning import Target, check_disk, fill
from experiments.datasets.prepared import PreparedDataset
from experiments.datasets.recipe import Recipe
from experiments.datasets.registry import find_source
from experiments.datasets.source import Source
from experiments.errors import DataError, EnvironmentFault
from experiments.paths import state
from experiments.specs.model import DatasetSpec


def fingerprint(spec: DatasetSpec, partitions: int, seed: int) -> str:
    """Fingerprint that :func:`prepare` would give.

    Small archives of our own making are made and read first if that has not been done.

    Raises
    ------
    SpecError
        As :func:`prepare`.
    """
    return Recipe.of(spec, find_source(spec.name), partitions, seed).fingerprint


def is_prepared(spec: DatasetSpec, partitions: int, seed: int) -> bool:
    """Whether the folder that :func:`prepare` would make is there; archives as :func:`check`."""
    recipe = Recipe.of(spec, find_source(spec.name), partitions, seed)
    return (state().datasets / recipe.folder).exists()


def check(spec: DatasetSpec, partitions: int, seed: int, root: Path | None = None) -> None:
    """Refuse at once what :func:`prepare` would refuse without reading a row.

    Small archives of our own making are made and read first if that has not been done, for they
    decide how many rows there are.

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
    """Shuffle, cut and write a data set as arrays, or open it if that was done before.

    The rows of a split are the first rows of its seeded shuffle; the partitions are consecutive
    stretches of them, balanced to within one row. Memory does not grow with the number of rows.
    The folder appears whole or not at all; whoever else wants it meanwhile waits. A preparation
    that was killed goes on after the last partition that was finished. A folder that is there is
    checked by file sizes; call :meth:`PreparedDataset.verify` for digests.

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
    (folder,) = prepare_forms(spec, partitions, seed, [ARRAYS], root, source=source)
    return PreparedDataset.open(folder)


def prepare_forms(
    spec: DatasetSpec,
    partitions: int,
    seed: int,
    forms: Sequence[str],
    root: Path | None = None,
    *,
    source: Source | None = None,
    report: Callable[[int], None] = lambda rows: None,
) -> list[Path]:
    """A data set in several forms, in one pass over its partitions; folders as :func:`prepare`'s.

    Parameters
    ----------
    forms : names in :data:`~experiments.datasets.formats.FORMS`.
    report : is told how many rows were written since it was told last.

    Returns
    -------
    The folder of each form, in their order.

    Raises
    ------
    SpecError, DataError, EnvironmentFault
        As :func:`prepare`.
    """
    source = find_source(spec.name) if source is None else source
    recipe = Recipe.of(spec, source, partitions, seed)
    root = state().datasets if root is None else root
    finals = [root / folder_of(recipe, form) for form in forms]
    with _disk_faults(root), contextlib.ExitStack() as making:
        make_folder(root)
        targets = []
        for form, final in sorted({*zip(forms, finals, strict=True)}):  # all lock in one order
            folder = making.enter_context(aside(final))
            if folder is not None:
                targets.append(making.enter_context(Target(form, folder, final)))
        sweep(root)
        if targets:
            check_disk(root, recipe, source, targets)
            fill(targets, recipe, source, report)
    for form, final in zip(forms, finals, strict=True):
        prepared = PreparedDataset.open(final)
        if prepared.manifest.form != form:
            raise DataError(f"{final} does not hold {form}; remove that folder and run again")
        prepared.verify(quick=True)
    return finals


def folder_of(recipe: Recipe, form: str) -> str:
    """Name of the folder of a form."""
    return recipe.folder if form == ARRAYS else f"{recipe.folder}.{form}"


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
