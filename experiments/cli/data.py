"""``--data``: raw downloads to records, records to partitions in the forms that are wanted."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from experiments.cli.bars import bar as shown
from experiments.datasets import SPLITS, prepare_forms
from experiments.datasets.downloaded import Downloaded
from experiments.datasets.formats import FORMS
from experiments.datasets.ingest import Passed
from experiments.datasets.ingested import REJECTED, Ingested
from experiments.datasets.registry import downloaded
from experiments.errors import DataError, SpecError
from experiments.specs.load import SCALES, experiments, nearest
from experiments.specs.model import DatasetSpec

PAPER = "paper"
MOST_WORKERS = 8

Advance = Callable[[int], None]


def make_data(options: argparse.Namespace) -> None:
    """Read each data set of ``--data``, and write its partitions.

    Raises
    ------
    UserError
        A name or form that does not exist, archives that are missing or damaged, a full disk. What
        was finished is kept, and the same command goes on from there.
    """
    for form in options.forms:
        if form not in FORMS:
            raise nearest("form", form, FORMS)
    workers = options.workers or SCALES[options.scale]
    if not 1 <= workers <= MOST_WORKERS:
        raise SpecError(f"--workers {workers}: a cluster has 1 to {MOST_WORKERS} workers")
    folder = None if options.source is None else Path(options.source).absolute()
    if folder is not None and len(options.data) > 1:
        raise SpecError("--source is of one data set: name one after --data")
    real = options.scale == PAPER or folder is not None
    chosen = [downloaded(name, generated=not real) for name in options.data]
    if folder is not None and not folder.is_dir():
        raise DataError(f"--source {folder} is not a folder")
    made = [_make(source, folder, workers, options) for source in chosen]
    if options.json:
        print(json.dumps(made, indent=1))
    else:
        for each in made:
            print("\n".join(_lines(each)))


def _make(
    source: Downloaded, folder: Path | None, workers: int, options: argparse.Namespace
) -> dict[str, Any]:
    start = time.monotonic()
    with shown(f"{source.name}: reading raw data", quiet=options.quiet) as bar:
        seen = 0

        def passed(now: Passed) -> None:
            nonlocal seen
            bar(now.position - seen, now.size)
            seen = now.position

        ingested = source.ingest(folder, passed)
    read = time.monotonic()
    spec = _cut(ingested, options.scale)
    with shown(f"{source.name}: {workers} partitions", quiet=options.quiet) as bar:
        total = spec.train_rows + spec.valid_rows
        folders = prepare_forms(
            spec,
            workers,
            options.seed,
            options.forms,
            report=lambda written: bar(written, total),
        )
    seconds = {"read": read - start, "write": time.monotonic() - read}
    return _summary(spec, ingested, folders, seconds, options)


def _cut(ingested: Ingested, scale: str) -> DatasetSpec:
    """The rows that experiments of the scale take at most, so that they find them cut.

    All rows, where no experiment takes this data set or there are fewer.
    """
    manifest = ingested.manifest
    tables = [row.table[scale]["dataset"] for row in experiments().values() if scale in row.table]
    wanted = [table for table in tables if table["name"] == manifest.name]
    rows = {
        split: min(
            max((table[f"{split}_rows"] for table in wanted), default=manifest.rows(split)),
            manifest.rows(split),
        )
        for split in SPLITS
    }
    return DatasetSpec(manifest.name, rows["train"], rows["valid"])


def _summary(
    spec: DatasetSpec,
    ingested: Ingested,
    folders: list[Path],
    seconds: dict[str, float],
    options: argparse.Namespace,
) -> dict[str, Any]:
    manifest = ingested.manifest
    return {
        "name": spec.name,
        "cut": {"train": spec.train_rows, "valid": spec.valid_rows},
        "rows": {split: manifest.rows(split) for split in SPLITS},
        "classes": len(manifest.class_names),
        "noted": manifest.noted,
        "rejected": manifest.rejected,
        "records": str(ingested.root),
        "forms": dict(zip(options.forms, map(str, folders), strict=True)),
        "seconds": seconds,
    }


def _lines(made: dict[str, Any]) -> Iterator[str]:
    rows = ", ".join(f"{count:,} {split}" for split, count in made["rows"].items())
    yield f"{made['name']}: {rows} rows of {made['classes']} classes"
    if made["cut"] != made["rows"]:
        cut = ", ".join(f"{count:,} {split}" for split, count in made["cut"].items())
        yield f"  cut to {cut} rows, as the experiments take"
    if made["noted"]:
        yield "  among them " + ", ".join(f"{n:,} {what}" for what, n in made["noted"].items())
    if made["rejected"]:
        yield f"  left out: {made['rejected']:,}, listed in {Path(made['records'], REJECTED)}"
    for form, folder in {"records": made["records"], **made["forms"]}.items():
        yield f"  {form}: {folder}"
    seconds = made["seconds"]
    yield f"  read in {seconds['read']:.1f} s, written in {seconds['write']:.1f} s"
