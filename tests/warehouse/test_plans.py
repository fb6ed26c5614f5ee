"""Training is shipped to the segments, whatever the planner knows; any other plan is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from experiments.errors import PlanError
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import SCHEDULE_TABLE
from experiments.warehouse.unit_tables import MODEL_TABLE, TRAIN_VIEW, VALID_VIEW

JOB = {"model": {}, "seed": 1, "table": "t"}


def explain(cluster: Cluster, statement: str) -> Any:
    with cluster.session() as session, session.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}")
        return cursor.fetchone()[0]


def statements(cluster: Cluster, table: str) -> list[str]:
    dialect = cluster.dialect
    found = [
        dialect.targeted(name, JOB, 1) for name in ("warm", "create", "load_file", "dump_file")
    ]
    found += [dialect.targeted_scan(name, JOB, table, 1) for name in ("train", "evaluate")]
    grouped = dialect.targeted_scan("train", JOB, table, 1).replace("WHERE __dist_key__ = 1", "")
    return [*found, grouped]


def scheduled(cluster: Cluster) -> list[str]:
    """The statements of training fully inside the database."""
    dialect = cluster.dialect
    found = [dialect.scheduled(name) for name in ("warm", "initialize", "average")]
    scans = [("fit", TRAIN_VIEW), ("score", VALID_VIEW)]
    return found + [dialect.scheduled_scan(name, view) for name, view in scans]


@pytest.fixture(params=["no statistics", "statistics"])
def table(request: pytest.FixtureRequest, cluster: Cluster, packed: str, unit_tables: None) -> str:
    with cluster.session() as session, session.cursor() as cursor:
        if request.param == "statistics":
            cursor.execute(f"ANALYZE {packed}; ANALYZE cerebro_segments; ANALYZE {SCHEDULE_TABLE};")
            cursor.execute(f"ANALYZE {TRAIN_VIEW}; ANALYZE {VALID_VIEW}")
        else:
            cursor.execute(
                "DELETE FROM pg_statistic WHERE starelid IN "
                "(SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
            )
    return packed


def test_every_statement_is_shipped(cluster: Cluster, table: str) -> None:
    for statement in statements(cluster, table) + scheduled(cluster):
        cluster.dialect.check_in_place(explain(cluster, statement), statement)


@pytest.fixture(params=["extensions", "use_remote_estimate"])
def without_option(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[str]:
    """The segments' servers without one of the options that shipping rests on."""
    option = request.param
    value = {"extensions": "cerebro_ds", "use_remote_estimate": "true"}[option]
    with cluster.session() as session, session.cursor() as cursor:
        for segment in cluster.segments:
            cursor.execute(f"ALTER SERVER segment_{segment.key} OPTIONS (DROP {option})")
        yield option
        for segment in cluster.segments:
            cursor.execute(f"ALTER SERVER segment_{segment.key} OPTIONS (ADD {option} '{value}')")


def test_a_plan_that_fetches_the_rows_is_refused(
    cluster: Cluster, packed: str, without_option: str
) -> None:
    if without_option == "use_remote_estimate":
        with cluster.session() as session, session.cursor() as cursor:
            cursor.execute("ANALYZE cerebro_segments")
    statement = cluster.dialect.targeted("warm", JOB, 1)
    plan = explain(cluster, statement)
    with pytest.raises(PlanError, match=without_option):
        cluster.dialect.check_in_place(plan, statement)


@pytest.mark.usefixtures("unit_tables")
def test_the_paper_s_statement_trains_in_all_segments_at_once(cluster: Cluster) -> None:
    (plan,) = explain(cluster, cluster.dialect.scheduled_scan("fit", TRAIN_VIEW))
    scans = plan["Plan"]["Plans"]
    assert plan["Plan"]["Node Type"] == "Append"
    assert [scan["Async Capable"] for scan in scans] == [True] * len(cluster.segments)
    assert all("Aggregate on" in scan["Relations"] for scan in scans)


@pytest.mark.usefixtures("unit_tables")
def test_the_paper_s_statement_is_refused_without_the_extension_option(
    cluster: Cluster, without_option: str
) -> None:
    if without_option == "extensions":
        for statement in scheduled(cluster):
            with pytest.raises(PlanError, match="extensions"):
                cluster.dialect.check_in_place(explain(cluster, statement), statement)


def test_the_views_need_no_help_from_the_planner(cluster: Cluster, table: str) -> None:
    """Without a view the coordinator plans the join, and one setting makes it fetch both sides."""
    assert table
    dialect = cluster.dialect
    joined = dialect.scheduled_scan(
        "fit", f"{SCHEDULE_TABLE} JOIN train_packed USING (__dist_key__)"
    )
    viewed = dialect.scheduled_scan("fit", TRAIN_VIEW)
    with cluster.session() as session, session.cursor() as cursor:
        cursor.execute("SET enable_partitionwise_join = off")
        cursor.execute(f"EXPLAIN (FORMAT JSON) {viewed}")
        dialect.check_in_place(cursor.fetchone()[0], viewed)
        cursor.execute(f"EXPLAIN (FORMAT JSON) {joined}")
        with pytest.raises(PlanError, match="fetch rows"):
            dialect.check_in_place(cursor.fetchone()[0], joined)


@pytest.mark.usefixtures("unit_tables")
def test_old_versions_are_removed_where_they_lie(cluster: Cluster) -> None:
    (plan,) = explain(
        cluster,
        f"DELETE FROM {MODEL_TABLE} WHERE (mst_key = 1 AND version < 2) "
        "OR (mst_key = 2 AND version < 3)",
    )
    (append,) = plan["Plan"]["Plans"]
    assert {scan["Operation"] for scan in append["Plans"]} == {"Delete"}
