"""How a parallel database spells what the approaches need.

Everything above sees one :class:`Dialect`. A sharded table has the column ``__dist_key__``, one
integer per segment, in MADlib's and Greenplum's sense; the same aggregates of the extension train
in every dialect. PostgreSQL's own sharding is the default; Greenplum 6 fits the same methods
(``DISTRIBUTED BY`` instead of foreign partitions, ``gp_segment_id = k`` as the filter that keeps
direct dispatch, EXPLAIN's motions as the sign that rows move).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from experiments.errors import PlanError

PACKED_COLUMNS: Mapping[str, str] = {
    "__dist_key__": "integer NOT NULL",
    "independent_var": "bytea",
    "dependent_var": "bytea",
    "independent_var_shape": "integer[]",
    "dependent_var_shape": "integer[]",
    "buffer_id": "integer",
}
"""MADlib's packed table, as ``training_preprocessor_dl`` makes it."""

RAW_COLUMNS: Mapping[str, str] = {
    "__dist_key__": "integer NOT NULL",
    "id": "bigint NOT NULL",
    "x": "bytea NOT NULL",
    "y": "smallint NOT NULL",
}
"""A table as loaded: ``x`` is one row's float32 values, little-endian; ``id`` counts from 0 on
each segment in the order of the seeded shuffle."""

_ROWS = (
    "buffer_id, "
    "CASE WHEN madlib.cached({job}, buffer_id, __dist_key__) THEN NULL ELSE independent_var END, "
    "CASE WHEN madlib.cached({job}, buffer_id, __dist_key__) THEN NULL ELSE dependent_var END, "
    "independent_var_shape, dependent_var_shape ORDER BY buffer_id"
)


@dataclass(frozen=True)
class Segment:
    """One database instance with its shard; ``key`` is its value of ``__dist_key__``."""

    key: int
    address: str
    port: int


class Dialect(Protocol):
    """SQL of one parallel database. Methods return statements or check plans; none connects."""

    def coordinator_setup(self, segments: Sequence[Segment], user: str, password: str) -> str:
        """Statements that make the coordinator know its segments."""

    def coordinator_refresh(self, segments: Sequence[Segment]) -> str:
        """Statements that tell a coordinator set up before where its segments are now."""

    def segment_setup(self, segments: Sequence[Segment], user: str, password: str) -> str:
        """Statements that make a segment know its peers, for hops."""

    def segment_refresh(self, segments: Sequence[Segment]) -> str:
        """Statements that tell a segment set up before where its peers are now."""

    def shard(self, table: str, columns: Mapping[str, str], segments: Sequence[Segment]) -> str:
        """Statements that make ``table`` of all segments one table on the coordinator."""

    def targeted(self, function: str, job: Mapping[str, Any], key: int) -> str:
        """A query that runs one of ``warm create load_file dump_file`` on segment ``key``."""

    def targeted_scan(self, function: str, job: Mapping[str, Any], table: str, key: int) -> str:
        """A query that runs ``train`` or ``evaluate`` over segment ``key``'s rows of ``table``."""

    def scheduled(self, function: str) -> str:
        """A query that runs ``warm initialize average`` for every job of the schedule at once."""

    def scheduled_scan(self, function: str, view: str) -> str:
        """A query that runs ``fit`` or ``score`` for every job of the schedule at once.

        Its rows are ``__dist_key__``, ``mst_key`` and ``report``, as those of :meth:`scheduled`.
        """

    def check_in_place(self, plan: Sequence[Mapping[str, Any]], statement: str) -> None:
        """Raise :class:`PlanError` if an EXPLAIN (FORMAT JSON) shows rows leaving their segment."""


def literal(job: Mapping[str, Any]) -> str:
    """A job as a json literal; text would keep the query from being shipped."""
    text = json.dumps(job, separators=(",", ":"), sort_keys=True).replace("'", "''")
    return f"'{text}'::json"


def server_name(key: int) -> str:
    """The foreign server that stands for a segment, on the coordinator and on its peers."""
    return f"segment_{key}"


def quote(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


SEGMENTS_TABLE = "cerebro_segments"
"""One row per segment, for statements that need no table of their own."""

SCHEDULE_TABLE = "madlib_schedule"
"""What every segment does in the next statement: ``__dist_key__``, ``mst_key`` and ``job``."""


class PostgresDialect:
    """Stock PostgreSQL: a partitioned table whose partitions are foreign tables, one a segment.

    The aggregates are shipped because running them on the coordinator looks ruinous there and
    cheap on the segments, which are asked for their estimates: this holds with and without
    statistics, with any grouping, and with a constant filter on the key.
    """

    COORDINATOR_COST = 1e9

    def coordinator_setup(self, segments: Sequence[Segment], user: str, password: str) -> str:
        statements = [self._servers(segments, user, password)]
        statements.append(f"""
            DO $$ DECLARE f regprocedure; BEGIN
              FOR f IN SELECT p.oid FROM pg_proc p
                       WHERE p.pronamespace = 'madlib'::regnamespace AND p.prokind = 'f'
                         AND p.proname LIKE '%\\_transition' LOOP
                EXECUTE format('ALTER FUNCTION %s COST {self.COORDINATOR_COST:.0f}', f);
              END LOOP;
            END $$;""")
        statements.append(self.shard(SEGMENTS_TABLE, {"__dist_key__": "integer"}, segments))
        return "\n".join(statements)

    def segment_setup(self, segments: Sequence[Segment], user: str, password: str) -> str:
        return self._servers(segments, user, password)

    def _servers(self, segments: Sequence[Segment], user: str, password: str) -> str:
        """The address book: a foreign server per segment, and how to log in there."""
        statements = ["CREATE EXTENSION IF NOT EXISTS postgres_fdw;"]
        for segment in segments:
            server = server_name(segment.key)
            statements.append(
                f"DROP SERVER IF EXISTS {server} CASCADE;"
                f"CREATE SERVER {server} FOREIGN DATA WRAPPER postgres_fdw OPTIONS ("
                f"host {quote(segment.address)}, port '{segment.port}', dbname 'postgres', "
                "extensions 'cerebro_ds', async_capable 'true', use_remote_estimate 'true', "
                "batch_size '100');"
                f"CREATE USER MAPPING FOR {user} SERVER {server} "
                f"OPTIONS (user {quote(user)}, password {quote(password)});"
            )
        return "\n".join(statements)

    def segment_refresh(self, segments: Sequence[Segment]) -> str:
        return self.coordinator_refresh(segments)

    def coordinator_refresh(self, segments: Sequence[Segment]) -> str:
        return "".join(
            f"ALTER SERVER {server_name(segment.key)} OPTIONS "
            f"(SET host {quote(segment.address)}, SET port '{segment.port}');"
            for segment in segments
        )

    def shard(self, table: str, columns: Mapping[str, str], segments: Sequence[Segment]) -> str:
        body = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        statements = [f"CREATE TABLE {table} ({body}) PARTITION BY LIST (__dist_key__);"]
        statements.extend(
            f"CREATE FOREIGN TABLE {table}_{segment.key} PARTITION OF {table} "
            f"FOR VALUES IN ({segment.key}) SERVER {server_name(segment.key)} "
            f"OPTIONS (schema_name 'public', table_name {quote(table)});"
            for segment in segments
        )
        return "\n".join(statements)

    def targeted(self, function: str, job: Mapping[str, Any], key: int) -> str:
        return (
            f"SELECT __dist_key__, madlib.{function}(__dist_key__, {literal(job)}) "
            f"FROM {SEGMENTS_TABLE} WHERE __dist_key__ = {key} GROUP BY __dist_key__"
        )

    def targeted_scan(self, function: str, job: Mapping[str, Any], table: str, key: int) -> str:
        text = literal(job)
        return (
            f"SELECT __dist_key__, madlib.{function}({text}, {_ROWS.format(job=text)}) "
            f"FROM {table} WHERE __dist_key__ = {key} GROUP BY __dist_key__"
        )

    def scheduled(self, function: str) -> str:
        return (
            f"SELECT __dist_key__, mst_key, madlib.{function}(__dist_key__, job) AS report "
            f"FROM {SCHEDULE_TABLE} GROUP BY __dist_key__, mst_key"
        )

    def scheduled_scan(self, function: str, view: str) -> str:
        return (
            f"SELECT __dist_key__, mst_key, madlib.{function}(job, buffer_id, independent_var, "
            "dependent_var, independent_var_shape, dependent_var_shape ORDER BY buffer_id) "
            f"AS report FROM {view} GROUP BY __dist_key__, mst_key"
        )

    def check_in_place(self, plan: Sequence[Mapping[str, Any]], statement: str) -> None:
        pending = [plan[0]["Plan"]]
        while pending:
            node = pending.pop()
            children = node.get("Plans", [])
            shipped = node["Node Type"] == "Foreign Scan" and node.get("Operation") == "Select"
            aggregate = "Aggregate on" in node.get("Relations", "")
            if not (node["Node Type"] == "Append" or (shipped and aggregate)):
                raise PlanError(
                    f"the coordinator would fetch rows instead of shipping the query: its plan has "
                    f"a {node['Node Type']} on {node.get('Relation Name', 'rows')}. Check server "
                    f"options 'extensions' and 'use_remote_estimate' and that the extension "
                    f"cerebro_ds is current. Statement: {statement[:200]}"
                )
            pending.extend(children)
