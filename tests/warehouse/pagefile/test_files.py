"""Relations of several files: a real one beyond 1 GB, and many small ones with a lowered size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.errors import DataError
from experiments.warehouse.pagefile import Fixed, Variable, open_table, table
from experiments.warehouse.pagefile.catalog import Catalog, read_catalog
from experiments.warehouse.pagefile.relation import RelationFile
from experiments.warehouse.pagefile.snapshot import Snapshot, horizon
from tests.warehouse.pagefile.judge import read_from_pages, said_by_server
from tests.warehouse.pagefile.test_rows import HELPER

PAGE = 8192


@pytest.fixture
def big(connection: Any) -> Iterator[Any]:
    """A table whose TOAST relation has a second file: 140 values of 8 MB."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS big")
        cursor.execute(
            "BEGIN; CREATE TABLE big (i int, x bytea);"
            "ALTER TABLE big ALTER x SET STORAGE EXTERNAL;"
            "INSERT INTO big WITH v AS MATERIALIZED (SELECT string_agg(int4send(g), '') AS x "
            "FROM generate_series(1, 2097152) g) "
            "SELECT i, set_byte(set_byte(x, 0, i), 8388607, i) FROM generate_series(1, 140) i, v;"
            "COMMIT"
        )
        yield connection
        cursor.execute("DROP TABLE big")


def test_a_table_of_more_than_a_gigabyte(big: Any) -> None:
    with open_table(big, "big") as opened:
        assert opened.catalog.toast is not None
        assert opened.catalog.toast.with_name(f"{opened.catalog.toast.name}.1").exists()
        expected = np.arange(1, 2097153, dtype=">i4").view(np.uint8)
        seen = []
        for batch in opened.scan():
            keys, values = batch.columns["i"], batch.columns["x"]
            assert isinstance(keys, Fixed)
            assert isinstance(values, Variable)
            for row, key in enumerate(keys.values.tolist()):
                expected[[0, -1]] = key
                assert np.array_equal(values[row], expected)
                seen.append(key)
    assert seen == list(range(1, 141))


def split(path: Path, folder: Path, blocks: int) -> Path:
    """A file as a server with a lower RELSEG_SIZE would have it."""
    data = path.read_bytes()
    for number, start in enumerate(range(0, len(data), blocks * PAGE)):
        name = path.name if number == 0 else f"{path.name}.{number}"
        (folder / name).write_bytes(data[start : start + blocks * PAGE])
    return folder / path.name


@pytest.mark.parametrize("blocks", [1, 7, 64, 100])
def test_many_files(
    connection: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(HELPER)
        cursor.execute(
            "DROP TABLE IF EXISTS parts; CREATE TABLE parts (i int, t text, x bytea);"
            "INSERT INTO parts SELECT i, repeat('t', i), repeat_bytes(i, 4000) "
            "FROM generate_series(1, 900) i; CHECKPOINT"
        )

    def elsewhere(session: Any, name: str) -> Catalog:
        found = read_catalog(session, name)
        assert found.toast is not None
        heap, toast = (split(each, tmp_path, blocks) for each in (found.heap, found.toast))
        return replace(found, heap=heap, toast=toast, file_blocks=blocks)

    monkeypatch.setattr(table, "read_catalog", elsewhere)
    with open_table(connection, "parts") as opened:
        assert read_from_pages(opened, 300_000) == said_by_server(connection, "parts")


def test_a_full_file_that_is_not_full(tmp_path: Path) -> None:
    for name, blocks in (("1", 2), ("1.1", 1)):
        (tmp_path / name).write_bytes(bytes(PAGE * blocks))
    with RelationFile(tmp_path / "1", PAGE, 2) as file:
        assert file.blocks == 3
    with pytest.raises(DataError, match=r"1: block 2: cut short, 1\.1 follows"):
        RelationFile(tmp_path / "1", PAGE, 4)


def test_values_out_of_order(connection: Any) -> None:
    """Rows whose TOAST values lie in another order than they do are read again, not missed."""
    with connection.cursor() as cursor:
        cursor.execute(HELPER)
        cursor.execute(
            "DROP TABLE IF EXISTS mixed; CREATE TABLE mixed (i int, a bytea, b bytea);"
            "ALTER TABLE mixed ALTER a SET STORAGE EXTERNAL;"
            "INSERT INTO mixed SELECT i, repeat_bytes(i, 5000) FROM generate_series(1, 300) i;"
            "UPDATE mixed SET b = repeat_bytes(i + 2, 40000) WHERE i % 2 = 0"
        )
    with open_table(connection, "mixed") as opened:
        said = said_by_server(connection, "mixed")
        assert read_from_pages(opened, 100_000) == said
        assert read_from_pages(opened, 100_000) == said


def states(folder: Path, name: str, given: dict[int, int], width: int) -> None:
    """Files of an SLRU: entries of ``width`` bits at 64-bit ids, modulo 2**32."""
    files: dict[int, Any] = {}
    for xid, state in given.items():
        at = xid % 2**32 * width
        number, bit = divmod(at, 32 * PAGE * 8)
        data = files.setdefault(number, np.zeros(32 * PAGE, np.uint8))
        for byte in range(max(width // 8, 1)):
            data[bit // 8 + byte] |= (state >> (8 * byte)) % 256 << (bit % 8)
    (folder / name).mkdir()
    for number, data in files.items():
        (folder / name / f"{number:04X}").write_bytes(data.tobytes())


def test_the_commit_log_across_the_end_of_the_ids(tmp_path: Path) -> None:
    end = 2**32
    committed = {end - 5: 1, end - 4: 2, end + 10: 1, end + 11: 1, end + 12: 3, end + 13: 3}
    states(tmp_path, "pg_xact", {**committed, end + 14: 1, end + 20: 1}, 2)
    parents = {end + 11: end + 9, end + 12: end + 10, end + 13: end + 9}
    states(tmp_path, "pg_subtrans", {xid: top % end for xid, top in parents.items()}, 32)
    made = horizon(tmp_path, PAGE, Snapshot(end + 9, end + 20, (end + 9,)), end - 8)

    def state(xid: int) -> int:
        index = (xid - made.oldest) % end
        return int(made.log[index // 4]) >> 2 * (index % 4) & 3

    seen = [xid - end for xid in range(end - 8, end + 20) if state(xid) == 1]
    assert seen == [-5, 10, 12, 14]


def test_a_commit_log_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pg_xact/0000: block 0: missing"):
        horizon(tmp_path, PAGE, Snapshot(700, 700, ()), 690)
