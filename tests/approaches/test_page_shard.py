"""A shard read from page files against the files that its rows came from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.approaches import in_database
from experiments.approaches.base import RunContext
from experiments.approaches.page_shard import PageShard
from experiments.approaches.shard import FileShard, Shard, file_shards, laps
from experiments.datasets import one_hot, prepare
from experiments.errors import DataError, ServerDied
from experiments.models.buffers import BufferCache
from experiments.models.worker import TRAIN, VALID, Rows
from experiments.mop.store import ModelStore
from experiments.runtime.local import LocalRuntime
from experiments.telemetry.journal import Journal
from experiments.warehouse.pagefile import table as table_module
from tests.faults.harness import small_spec

BUFFER_BYTES = 100 * 256
ROOM = 2**26


@pytest.fixture(scope="module")
def context(state_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunContext]:
    """A packed database of one segment with some fifteen buffers."""
    spec = small_spec("da-cerebro", seed=4)
    spec = replace(
        spec,
        workers=1,
        dataset=replace(spec.dataset, train_rows=1470, valid_rows=130),
        protocol=replace(spec.protocol, buffer_bytes=BUFFER_BYTES),
    )
    folder = tmp_path_factory.mktemp("run")
    with (
        LocalRuntime(state_folder / "clusters" / "page-shards") as runtime,
        Journal(folder / "journal.jsonl", "page-shards") as journal,
    ):
        topology = runtime.make_topology("page-shards", 1, 1)
        runtime.start(topology, ("segment", "coordinator"))
        dataset = prepare(spec.dataset, 1, spec.seed)
        made = RunContext(spec, dataset, topology, journal, ModelStore(folder), ())
        in_database.prepare(made, in_database.cluster_of(topology))
        yield made
        runtime.stop(purge=True)


@pytest.fixture
def shard(context: RunContext, request: pytest.FixtureRequest) -> PageShard:
    """One that this process has not read."""
    return PageShard(context.topology, 0, request.node.name)


@contextlib.contextmanager
def segment(context: RunContext) -> Iterator[Any]:
    """A cursor on the segment."""
    cluster = in_database.cluster_of(context.topology)
    with cluster.session(cluster.segments[0]) as session, session.cursor() as cursor:
        yield cursor


def never() -> None:
    """For ``check``: go on."""


def read_all(shard: Shard, kind: str, cache: BufferCache) -> Rows:
    """What a unit gets, from the cache where it is there."""
    parts = []
    with contextlib.closing(shard.blocks(kind)) as blocks:
        for block in blocks:
            rows = cache.get(block.key) or block.read()
            assert len(rows[0]) == len(rows[1]) == block.rows
            parts.append(rows)
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def assert_all_rows(context: RunContext, shard: Shard, cache: BufferCache) -> None:
    for kind, split in ((TRAIN, "train"), (VALID, "valid")):
        part = context.dataset.partition("train" if split == "train" else "valid", 0)
        x, y = read_all(shard, kind, cache)
        assert x.dtype == np.float32
        assert np.array_equal(x, part.x)
        assert np.array_equal(y, one_hot(np.array(part.y), context.dataset.classes))


@pytest.mark.parametrize("share", [0.0, 0.4, 0.95, 1.0])
def test_all_rows_in_order_whatever_fits(
    context: RunContext, shard: PageShard, share: float
) -> None:
    """What does not fit is read again at every pass, and the budget is kept."""
    whole = PageShard(context.topology, 0, f"whole {share}")
    size = whole.ready(BufferCache(ROOM), never)["held"]["shard_bytes"]
    cache = BufferCache(int(size * share))
    held = shard.ready(cache, never)["held"]
    assert held["held_bytes"] == cache.bytes <= cache.budget
    assert (held["held_bytes"] == held["shard_bytes"]) == (share == 1.0)
    assert held["held_bytes"] > size * share - 2 * BUFFER_BYTES
    assert held["file_bytes"] > size
    for _ in range(2):
        assert_all_rows(context, shard, cache)


def test_the_shard_is_held_once(shard: PageShard) -> None:
    """Every cached block is a view of one of two pieces of memory, as large as the tables."""
    cache = BufferCache(ROOM)
    held = shard.ready(cache, never)["held"]
    pieces = {}
    for kind in (TRAIN, VALID):
        for block in shard.blocks(kind):
            for array in cache.get(block.key) or ():
                base = array
                while isinstance(base.base, np.ndarray):
                    base = base.base
                pieces[id(base)] = base.nbytes
    assert len(pieces) == 2
    assert held["shard_bytes"] <= sum(pieces.values()) < 1.05 * held["shard_bytes"]


def test_reading_is_journaled_once(shard: PageShard) -> None:
    cache = BufferCache(ROOM)
    first, again = (shard.ready(cache, never) for _ in range(2))
    (moved,) = (span[3] for span in first["spans"] if span[0] == "etl.read")
    assert moved == cache.bytes == first["held"]["held_bytes"]
    assert again == {"spans": [], "held": first["held"]}


@pytest.mark.parametrize("budget", [0, 5 * BUFFER_BYTES, ROOM])
def test_pages_in_another_order(context: RunContext, shard: PageShard, budget: int) -> None:
    """An update puts a buffer behind the others; training goes by its number."""
    with segment(context) as cursor:
        cursor.execute("UPDATE train_packed SET buffer_id = buffer_id WHERE buffer_id IN (1, 4)")
    cache = BufferCache(budget)
    shard.ready(cache, never)
    assert_all_rows(context, shard, cache)


def test_a_table_that_is_not_as_packed(context: RunContext, shard: PageShard) -> None:
    with segment(context) as cursor:
        cursor.execute("UPDATE valid_packed SET buffer_id = buffer_id + 1")
        try:
            with pytest.raises(DataError, match=r"table valid_packed: .* without gaps.*--fresh"):
                shard.ready(BufferCache(0), never)
            cursor.execute(
                "UPDATE valid_packed SET buffer_id = buffer_id - 1, "
                "dependent_var_shape[1] = dependent_var_shape[1] + 1"
            )
            with pytest.raises(DataError, match=r"table valid_packed: the shape of buffer 0"):
                PageShard(context.topology, 0, "odd shape").ready(BufferCache(ROOM), never)
        finally:
            cursor.execute(
                "UPDATE valid_packed SET "
                "dependent_var_shape[1] = length(dependent_var) / 2 / dependent_var_shape[2]"
            )


def test_a_table_that_changes_while_a_pass_goes_on(context: RunContext, shard: PageShard) -> None:
    """A pass has one snapshot; the next one notices."""
    cache = BufferCache(0)
    shard.ready(cache, never)
    with segment(context) as cursor, contextlib.closing(shard.blocks(TRAIN)) as blocks:
        first, *others = list(zip(range(3), blocks, strict=False))
        x, _ = first[1].read()
        cursor.execute("DELETE FROM train_packed WHERE buffer_id = 2 RETURNING *")
        (row,) = cursor.fetchall()
        try:
            for _, block in others:
                assert len(block.read()[0]) == len(x)
            with pytest.raises(DataError, match="not those that it had before"):
                read_all(shard, TRAIN, cache)
        finally:
            cursor.execute("INSERT INTO train_packed VALUES (%s, %s, %s, %s, %s, %s)", row)


def test_a_segment_that_dies_while_it_is_read(
    context: RunContext, shard: PageShard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading goes on behind what is here; nothing is held twice."""
    monkeypatch.setattr(table_module, "BATCH_BYTES", BUFFER_BYTES)
    cache = BufferCache(ROOM)

    def kill() -> None:
        if len(cache) == 6:
            with segment(context) as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )

    with pytest.raises(ServerDied):
        shard.ready(cache, kill)
    before = len(cache)
    assert before >= 6
    report = shard.ready(cache, never)
    assert report["held"]["held_bytes"] == report["held"]["shard_bytes"] == cache.bytes
    assert_all_rows(context, shard, cache)


def test_what_is_asked_to_stop_stops(shard: PageShard) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shard.ready(BufferCache(ROOM), stop)


def test_no_session_stays_open(context: RunContext, shard: PageShard) -> None:
    cache = BufferCache(0)
    shard.ready(cache, never)
    read_all(shard, TRAIN, cache)
    with contextlib.closing(shard.blocks(TRAIN)) as blocks:
        next(blocks).read()
    with segment(context) as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        )
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("source", ["files", "pages"])
def test_laps_begin_again_after_the_last_row(
    context: RunContext, shard: PageShard, source: str
) -> None:
    files: FileShard = file_shards(context)[0]
    wrapped: Shard = files if source == "files" else shard
    cache = BufferCache(0)
    wrapped.ready(cache, never)
    part = context.dataset.partition("train", 0)
    wanted = len(part.y) + 130
    found = []
    with contextlib.closing(laps(wrapped, TRAIN, wanted)) as blocks:
        for block in blocks:
            x, _ = block.read()
            found.append(x[: block.rows])
    expected = np.concatenate([part.x, part.x[:130]])
    assert np.array_equal(np.concatenate(found), expected)
