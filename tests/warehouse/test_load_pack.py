"""Loading and packing against the files the rows came from."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.datasets import PreparedDataset, one_hot
from experiments.datasets.copy_binary import ByteStream, encode_rows
from experiments.errors import DataError
from experiments.warehouse import load as load_module
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.load import load
from experiments.warehouse.pack import STORAGE, pack, rows_per_buffer


def fetch(cluster: Cluster, statement: str, segment: int | None = None) -> list[tuple[Any, ...]]:
    with (
        cluster.session(None if segment is None else cluster.segments[segment]) as session,
        session.cursor() as cursor,
    ):
        cursor.execute(statement)
        return list(cursor.fetchall())


def test_every_row_lies_on_its_segment_in_the_files_order(
    cluster: Cluster, dataset: PreparedDataset
) -> None:
    loaded = load(cluster, dataset, "train", "rows_check")
    assert loaded.rows == 301
    for key in range(2):
        part = dataset.partition("train", key)
        rows = fetch(cluster, "SELECT id, x, y, __dist_key__ FROM rows_check ORDER BY id", key)
        assert [row[0] for row in rows] == list(range(len(part.y)))
        x = np.stack([np.frombuffer(bytes(row[1]), "<f4") for row in rows])
        assert np.array_equal(x, part.x.reshape(len(part.y), -1))
        assert [row[2] for row in rows] == part.y.tolist()
        assert {row[3] for row in rows} == {key}
    assert fetch(cluster, "SELECT count(*) FROM rows_check") == [(301,)]


def test_loading_again_replaces_the_table(cluster: Cluster, dataset: PreparedDataset) -> None:
    load(cluster, dataset, "train", "twice")
    load(cluster, dataset, "valid", "twice")
    assert fetch(cluster, "SELECT count(*) FROM twice") == [(64,)]


def test_a_load_that_fails_leaves_no_table_anywhere(
    cluster: Cluster, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:

    def spoil(key: int, first: int, x: Any, y: Any) -> bytes:
        if key == 1:
            x = x.copy()  # the sums were taken of the rows as they were
            x[3, 5] += 1
        return encode_rows(key, first, x, y)

    monkeypatch.setattr(load_module, "encode_rows", spoil)
    with pytest.raises(DataError, match=r"table spoilt on segment 1: rows 0 to \d+ differ"):
        load(cluster, dataset, "train", "spoilt")
    assert "spoilt" not in cluster.tables()
    for key in (0, 1):
        assert fetch(cluster, "SELECT to_regclass('spoilt')", key) == [(None,)]


def test_a_load_holds_one_block_at_a_time(dataset: PreparedDataset) -> None:
    """Memory does not grow with the table: 64 MB stream through a few blocks of 4 MB."""
    rows = 2**16
    part = replace(
        dataset.partition("train", 0),
        x=np.broadcast_to(np.float32(1), (rows, 16, 16, 1)),
        y=np.zeros(rows, np.int16),
    )
    block = load_module.BLOCK_BYTES // part.x[0].nbytes
    tracemalloc.start()
    try:
        stream = ByteStream(load_module._blocks(1, part, block, []))
        while stream.read(2**18):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stream.bytes > rows * 1024
    assert peak < 5 * load_module.BLOCK_BYTES


@pytest.mark.parametrize("storage", sorted(STORAGE))
def test_packed_buffers_hold_the_files_rows_in_order(
    cluster: Cluster, dataset: PreparedDataset, storage: str
) -> None:
    load(cluster, dataset, "train", "to_pack")
    packed = pack(
        cluster,
        "to_pack",
        dataset.input_shape,
        dataset.classes,
        storage=storage,
        buffer_bytes=40 * 256,
    )
    assert packed.rows == 301
    counts = []
    for key in range(2):
        part = dataset.partition("train", key)
        rows = fetch(
            cluster,
            "SELECT independent_var, dependent_var, independent_var_shape, dependent_var_shape, "
            "buffer_id FROM to_pack_packed ORDER BY buffer_id",
            key,
        )
        assert [row[4] for row in rows] == list(range(len(rows)))
        x = [np.frombuffer(bytes(row[0]), "<f4").reshape(row[2]) for row in rows]
        y = [np.frombuffer(bytes(row[1]), "<i2").reshape(row[3]) for row in rows]
        assert all(len(block) <= packed.rows_per_buffer for block in x)
        assert np.array_equal(np.concatenate(x), part.x)
        assert np.array_equal(np.concatenate(y), one_hot(np.array(part.y), dataset.classes))
        counts.append(len(rows))
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == packed.buffers


def test_the_summary_is_madlibs(cluster: Cluster, packed: str) -> None:
    ((source, output, classes, size),) = fetch(
        cluster,
        f"SELECT source_table, output_table, num_classes, buffer_size FROM {packed}_summary",
    )
    assert (source, output, classes) == ("shared", packed, [4])
    assert size == rows_per_buffer(301, 2, 256, 50 * 256)


@given(
    rows=st.integers(1, 10**7),
    segments=st.integers(1, 8),
    row_bytes=st.integers(1, 10**6),
    buffer_bytes=st.integers(1, 2**29),
)
def test_buffers_fit_and_balance(
    rows: int, segments: int, row_bytes: int, buffer_bytes: int
) -> None:
    size = rows_per_buffer(rows, segments, row_bytes, buffer_bytes)
    assert 1 <= size <= max(1, buffer_bytes // row_bytes)
    shares = [rows * (k + 1) // segments - rows * k // segments for k in range(segments)]
    buffers = [-(-share // size) for share in shares]
    assert max(buffers) - min(buffers) <= 1


def test_a_wrong_password_is_refused_and_named(cluster: Cluster) -> None:
    from experiments.errors import EnvironmentFault

    with pytest.raises(EnvironmentFault, match="password authentication failed"):
        replace(cluster, password="wrong").connect()


def test_servers_listen_on_loopback_with_scram_only(cluster: Cluster) -> None:
    for segment in (None, 0, 1):
        assert fetch(cluster, "SHOW listen_addresses", segment) == [("127.0.0.1",)]
        assert fetch(cluster, "SHOW unix_socket_directories", segment) == [("",)]
        methods = fetch(cluster, "SELECT DISTINCT auth_method FROM pg_hba_file_rules", segment)
        assert methods == [("scram-sha-256",)]
        ((stored,),) = fetch(
            cluster, "SELECT rolpassword FROM pg_authid WHERE rolname = 'cerebro'", segment
        )
        assert stored.startswith("SCRAM-SHA-256$")
