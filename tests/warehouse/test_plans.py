"""Training is shipped to the segments, whatever the planner knows; any other plan is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from experiments.errors import PlanError
from experiments.warehouse.cluster import Cluster

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


@pytest.fixture(params=["no statistics", "statistics"])
def table(request: pytest.FixtureRequest, cluster: Cluster, packed: str) -> str:
    with cluster.session() as session, session.cursor() as cursor:
        if request.param == "statistics":
            cursor.execute(f"ANALYZE {packed}; ANALYZE cerebro_segments")
        else:
            cursor.execute(
                "DELETE FROM pg_statistic WHERE starelid IN "
                "(SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
            )
    return packed


def test_every_statement_is_shipped(cluster: Cluster, table: str) -> None:
    for statement in statements(cluster, table):
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
