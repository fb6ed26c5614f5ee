"""``pagefile inspect FILE``: what it counts is what was put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.__main__ import main
from experiments.warehouse.pagefile import open_table
from experiments.warehouse.pagefile.inspect import inspect


@pytest.fixture
def files(connection: Any) -> tuple[Path, Path]:
    with connection.cursor() as cursor:
        cursor.execute(
            "DROP TABLE IF EXISTS seen; CREATE TABLE seen (i int, x bytea);"
            "ALTER TABLE seen ALTER x SET STORAGE EXTERNAL;"
            "INSERT INTO seen SELECT i, decode(repeat('00', 5000), 'hex') "
            "FROM generate_series(1, 100) i;"
            "INSERT INTO seen VALUES (NULL, NULL); DELETE FROM seen WHERE i <= 10"
        )
    with open_table(connection, "seen") as opened:
        assert opened.catalog.toast is not None
        return opened.catalog.heap, opened.catalog.toast


def test_counts(files: tuple[Path, Path]) -> None:
    heap, toast = (inspect(path) for path in files)
    assert heap["tuples"] == 101
    assert heap["tuples with nulls"] == 1
    assert heap["tuples updated, deleted or locked"] == 10
    assert heap["TOAST chunks"] == 0
    assert (toast["TOAST values"], toast["TOAST chunks"]) == (100, 300)
    assert toast["TOAST bytes"] == 500_000
    for found in (heap, toast):
        assert found["pages"] == found["pages with a checksum"]
        assert found["pages with a wrong checksum"] == found["pages damaged"] == 0


def test_command(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pagefile", "inspect", str(files[1])]) == 0
    assert "TOAST values" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["inspect", "/nowhere"], ["inspect"], []])
def test_errors_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pagefile", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
