"""Arrow's view of a table against binary COPY, value for value."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.errors import DataError
from experiments.warehouse.pagefile import Variable, open_table
from tests.warehouse.pagefile.conftest import Server
from tests.warehouse.pagefile.judge import Row, array_sent, said_by_server
from tests.warehouse.pagefile.test_rows import HELPER, STEPS, Made, build, columns

ODD = ("uuid", "int2[]")
"""Types of ``test_rows`` that are not read, or of two dimensions there."""


def sent(table: pa.Table, kinds: dict[str, str]) -> list[Row]:
    """Rows as binary COPY sends them."""
    cells = [[_sent(scalar, kinds[name]) for scalar in table[name]] for name in table.column_names]
    return list(zip(*cells, strict=True))


def _sent(scalar: Any, kind: str) -> bytes | None:
    value = scalar.as_py()
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if kind[0] == "_":
        return array_sent(scalar.values.to_numpy(zero_copy_only=False), kind[1:])
    number = np.array([value], scalar.type.to_pandas_dtype())
    return number.astype(number.dtype.newbyteorder(">")).tobytes()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    made=st.lists(columns.filter(lambda each: each.kind not in ODD), min_size=1, max_size=5),
    rows=st.sampled_from([0, 1, 7, 60]),
    steps=st.lists(st.sampled_from(list(STEPS)), max_size=3),
    batch_bytes=st.sampled_from([1, 5000, 2**26]),
)
def test_rows_are_the_servers(
    server: Server, made: list[Made], rows: int, steps: list[str], batch_bytes: int
) -> None:
    session = server.connect()
    try:
        build(session, made, rows, steps)
        with open_table(session, "t") as opened:
            kinds = {column.name: column.kind for column in opened.columns}
            found = opened.to_arrow(batch_bytes=batch_bytes).read_all()
            found.validate(full=True)
            assert sent(found, kinds) == said_by_server(session, "t")
    finally:
        session.close()


@pytest.fixture
def session(connection: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(HELPER)
        cursor.execute(
            "DROP TABLE IF EXISTS a; CREATE TABLE a (i int4, x bytea, f float4[], u uuid);"
            "INSERT INTO a SELECT i, repeat_bytes(i, 9000), array[i, 2], md5(i::text)::uuid "
            "FROM generate_series(1, 50) i"
        )
    return connection


def test_big_buffers_are_not_copied(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []
    with open_table(session, "a") as opened:
        scan = opened.scan

        def watched(*arguments: Any) -> Any:
            for batch in scan(*arguments):
                column = batch.columns["x"]
                assert isinstance(column, Variable)
                read.append((column.data.ctypes.data, column.data.nbytes))
                yield batch

        monkeypatch.setattr(opened, "scan", watched)
        found = [batch["x"].buffers()[2] for batch in opened.to_arrow(["x"], 100_000)]
    assert len(found) > 3
    assert [(each.address, each.size) for each in found] == read


def test_a_stream_holds_one_batch_at_a_time(session: Any) -> None:
    with open_table(session, "a") as opened:
        reader = opened.to_arrow(["i", "x"], 1)
        assert reader.schema == pa.schema([("i", pa.int32()), ("x", pa.large_binary())])
        assert [batch.num_rows for batch in reader] == [1] * 50


def test_a_type_that_is_not_known_is_named(session: Any) -> None:
    with open_table(session, "a") as opened, pytest.raises(DataError, match=r"'u' .* type uuid"):
        opened.to_arrow()


@pytest.mark.parametrize(
    ("value", "reason"),
    [("'{{1,2},{3,4}}'", "several dimensions"), ("'{1,NULL,3}'", "without nulls")],
)
def test_arrays_that_are_no_lists(session: Any, value: str, reason: str) -> None:
    with session.cursor() as cursor:
        cursor.execute(f"INSERT INTO a (f) VALUES ({value})")
    with (
        open_table(session, "a") as opened,
        pytest.raises(DataError, match=rf"^column 'f' of table a: .*{re.escape(reason)}"),
    ):
        opened.to_arrow(["f"]).read_all()


def test_text_in_another_encoding(session: Any, server: Server) -> None:
    with session.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS latin")
        cursor.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    dsn = server.dsn.replace("dbname=postgres", "dbname=latin")
    other = server.connect(dsn)
    with other.cursor() as cursor:
        cursor.execute("CREATE TABLE words (i int4, t text); INSERT INTO words VALUES (1, 'é')")
    with open_table(other, "words") as opened:
        with pytest.raises(DataError, match="'t' of table words is text in LATIN1"):
            opened.to_arrow()
        assert opened.to_arrow(["i"]).read_all()["i"].to_pylist() == [1]
    other.close()
