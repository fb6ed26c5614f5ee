"""Tables that are in the database already: replaced where they are ours by name, else named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.approaches import in_database
from experiments.approaches.base import RunContext
from experiments.datasets import prepare
from experiments.errors import EnvironmentFault
from experiments.mop.store import ModelStore
from experiments.runtime.local import LocalRuntime
from experiments.telemetry.journal import Journal, read
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import PACKED_COLUMNS, RAW_COLUMNS
from tests.faults.harness import small_spec

ODD = {"__dist_key__": "integer", "colour": "text"}


@pytest.fixture(scope="module")
def context(state_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunContext]:
    spec = small_spec("ctq", seed=3)
    folder = tmp_path_factory.mktemp("run")
    with (
        LocalRuntime(state_folder / "clusters" / "in-the-way") as runtime,
        Journal(folder / "journal.jsonl", "in-the-way") as journal,
    ):
        topology = runtime.make_topology("in-the-way", spec.workers, 1)
        runtime.start(topology, ("segment", "coordinator"))
        dataset = prepare(spec.dataset, spec.workers, spec.seed)
        yield RunContext(spec, dataset, topology, journal, ModelStore(folder), ())
        runtime.stop(purge=True)


@pytest.fixture
def cluster(context: RunContext) -> Cluster:
    """All tables as they must be."""
    made = in_database.cluster_of(context.topology)
    in_database.prepare(context, made)
    return made


def run(cluster: Cluster, statement: str, *, segments: bool = False) -> None:
    for segment in cluster.segments if segments else (None,):
        with cluster.session(segment) as session, session.cursor() as cursor:
            cursor.execute(statement)


def rows(cluster: Cluster) -> int:
    with cluster.session() as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM train")
        return int(cursor.fetchone()[0])


def loads(context: RunContext) -> int:
    return sum(event.phase == "etl.load" for event in read(context.journal.path))


def test_what_is_ours_is_used_as_it_is(context: RunContext, cluster: Cluster) -> None:
    before = loads(context)
    in_database.prepare(context, cluster)
    assert loads(context) == before


def test_what_an_earlier_start_made_is_journaled_as_what_it_took(
    context: RunContext, cluster: Cluster, tmp_path: Path
) -> None:
    """That start was killed before its journal could say so: the tables still know."""
    run(cluster, "DROP TABLE train")
    in_database.prepare(context, cluster)
    made = [event for event in read(context.journal.path) if event.phase][-2:]
    with Journal(tmp_path / "journal.jsonl", "again") as journal:
        for _ in range(2):
            in_database.prepare(replace(context, journal=journal), cluster)
        found = list(read(journal.path))
    assert [(event.phase, event.detail["split"]) for event in found] == [
        (phase, split) for split in ("train", "valid") for phase in ("etl.load", "etl.pack")
    ]
    assert all(event.detail["reused"] and event.bytes for event in found)
    for ours, theirs in zip(found[:2], made, strict=True):
        assert (ours.phase, ours.bytes) == (theirs.phase, theirs.bytes)
        assert 0 < ours.seconds <= theirs.seconds


def test_a_table_that_only_segments_have_is_replaced(context: RunContext, cluster: Cluster) -> None:
    run(cluster, "DROP TABLE train")
    run(cluster, "DROP TABLE train; CREATE TABLE train (colour text)", segments=True)
    in_database.prepare(context, cluster)
    assert rows(cluster) == context.spec.dataset.train_rows


def test_a_table_with_other_columns_is_replaced(context: RunContext, cluster: Cluster) -> None:
    for table, columns in (("train", RAW_COLUMNS), ("train_packed", PACKED_COLUMNS)):
        run(cluster, f"DROP TABLE {table}; CREATE TABLE {table} (colour text)", segments=True)
        cluster.shard(table, ODD)
        in_database.prepare(context, cluster)
        assert cluster.tables()[table] == list(columns)
    assert rows(cluster) == context.spec.dataset.train_rows


@pytest.mark.parametrize(
    ("obstacle", "removal"),
    [
        ("DROP TABLE train; CREATE VIEW train AS SELECT 1 AS colour", "DROP VIEW train"),
        ("CREATE VIEW mine AS SELECT * FROM train", "DROP VIEW mine"),
    ],
)
def test_what_is_not_ours_to_replace_is_named(
    context: RunContext, cluster: Cluster, obstacle: str, removal: str
) -> None:
    run(cluster, "DROP TABLE train")
    run(cluster, obstacle, segments=True)
    with pytest.raises(EnvironmentFault, match=r"train.*: drop that, or --fresh starts over"):
        in_database.prepare(context, cluster)
    run(cluster, removal, segments=True)
    in_database.prepare(context, cluster)
    assert rows(cluster) == context.spec.dataset.train_rows
