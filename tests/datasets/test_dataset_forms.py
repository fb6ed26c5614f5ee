"""Forms of the same partitions: equal values, one pass, each with its manifest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from experiments.datasets import SPLITS, PreparedDataset, RowReader, Split, formats, prepare_forms
from experiments.datasets import partitioning as module
from experiments.datasets.blobs import Blobs
from experiments.datasets.copy_binary import SIGNATURE, TRAILER, encode_rows
from experiments.datasets.formats import FORMS
from experiments.errors import DataError
from experiments.specs.model import DatasetSpec

SPEC = DatasetSpec("blobs", 203, 51)


@dataclass(frozen=True)
class Compact(Blobs):
    """Blobs whose compact rows are their first column in whole numbers."""

    @contextmanager
    def open(self, split: Split, scratch: Path) -> Iterator[RowReader]:
        with super().open(split, scratch) as inner:
            yield CompactRows(inner)


class CompactRows:
    def __init__(self, inner: RowReader) -> None:
        self._inner = inner
        self.taken = 0

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        return self._inner.take(rows)

    def compact(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int16]]:
        x, y = self._inner.take(rows)
        return (100 * x[:, 0, :, 0]).astype(np.int16), y


def column(table: Any, name: str, width: int) -> NDArray[Any]:
    lists = table.column(name).combine_chunks()
    values: NDArray[Any] = lists.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, width)


@pytest.mark.parametrize("forms", [[*FORMS], ["spark"], ["parquet", "arrays"]])
def test_every_form_has_the_same_rows(
    forms: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 30 * 8 * 8 * 4)
    monkeypatch.setattr(formats, "GROUP_BYTES", 70 * 8 * 2)
    written: list[int] = []
    folders = prepare_forms(SPEC, 2, 1, forms, tmp_path, source=Compact(), report=written.append)
    assert sum(written) == 203 + 51
    (whole,) = prepare_forms(SPEC, 2, 1, ["arrays"], tmp_path, source=Compact())
    arrays = PreparedDataset.open(whole)
    for form, folder in zip(forms, folders, strict=True):
        opened = PreparedDataset.open(folder)
        opened.verify()
        assert opened.manifest.form == form
        assert opened.fingerprint == arrays.fingerprint
        for split in SPLITS:
            for number in range(2):
                part = arrays.partition(split, number)
                x, y = np.array(part.x), np.array(part.y)
                file = folder / split / str(number) / "rows.parquet"
                if form == "copy":
                    stream = file.with_suffix(".copy").read_bytes()
                    rows = encode_rows(number, 0, x.reshape(len(x), -1), y)
                    assert stream == SIGNATURE + rows + TRAILER
                if form == "parquet":
                    table = pq.read_table(file)
                    assert np.array_equal(column(table, "x", 8), (100 * x[:, 0, :, 0]).astype("i2"))
                    assert np.array_equal(table.column("y").to_numpy(), y)
                    said = json.loads(table.schema.metadata[b"cerebro-ds"])
                    assert (said["split"], said["partition"]) == (split, number)
                    assert (said["dtype"], said["shape"]) == ("int16", [8])
                elif form == "spark":
                    table = pq.read_table(file)
                    flat = x.reshape(len(x), -1)
                    assert np.array_equal(column(table, "features", 64), flat)
                    assert np.array_equal(table.column("label").to_numpy(), y)


def test_a_manifest_records_every_file(tmp_path: Path) -> None:
    (folder,) = prepare_forms(SPEC, 3, 1, ["parquet"], tmp_path)
    said = json.loads((folder / "manifest.json").read_text())
    assert len(said["files"]) == 6
    for name, record in said["files"].items():
        data = (folder / name).read_bytes()
        assert record["sha256"] == hashlib.sha256(data).hexdigest()
        assert record["bytes"] == len(data)
    assert [record["shape"] for record in said["files"].values()] == [
        *([67, 8, 8, 1], [68, 8, 8, 1], [68, 8, 8, 1]),
        *([17, 8, 8, 1], [17, 8, 8, 1], [17, 8, 8, 1]),
    ]
    assert said["recipe"]["seed"] == 1
    assert said["recipe"]["class_names"][0] == "blob 0"


def test_a_form_named_twice_is_made_once(tmp_path: Path) -> None:
    first, second = prepare_forms(SPEC, 2, 1, ["arrays", "arrays"], tmp_path)
    assert first == second


def test_a_form_is_not_taken_for_another(tmp_path: Path) -> None:
    parquet, arrays = prepare_forms(SPEC, 2, 1, ["parquet", "arrays"], tmp_path)
    os.rename(arrays, tmp_path / "aside")
    os.rename(parquet, arrays)
    with pytest.raises(DataError, match="does not hold arrays; remove that folder"):
        prepare_forms(SPEC, 2, 1, ["arrays"], tmp_path)
