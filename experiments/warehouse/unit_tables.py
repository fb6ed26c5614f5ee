"""The tables and views of training fully inside the database.

==================  ================================================================================
``madlib_model``    model states, in rows of at most 16 MB; any segment may hold any version
``madlib_schedule`` what each segment does in the next statement, and nothing else
``madlib_visit``    what was done: written in the transaction that writes the state
``train_units``     a view: the schedule's jobs, each with its segment's packed rows
``valid_units``     the same with the rows of the validation set
==================  ================================================================================

All lie on the segments. The join of jobs and data is a view *there*, because a join that the
coordinator sees is shipped only with fresh statistics, and brings the rows to it otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import PACKED_COLUMNS, SCHEDULE_TABLE, Segment

MODEL_TABLE = "madlib_model"
VISIT_TABLE = "madlib_visit"
TRAIN_VIEW = "train_units"
VALID_VIEW = "valid_units"

TABLES: Mapping[str, Mapping[str, str]] = {
    MODEL_TABLE: {
        "__dist_key__": "integer NOT NULL",
        "mst_key": "integer NOT NULL",
        "version": "integer NOT NULL",
        "part": "integer NOT NULL",
        "parts": "integer NOT NULL",
        "bytes": "bytea NOT NULL",
    },
    SCHEDULE_TABLE: {
        "__dist_key__": "integer NOT NULL",
        "mst_key": "integer NOT NULL",
        "job": "json NOT NULL",
    },
    VISIT_TABLE: {
        "__dist_key__": "integer NOT NULL",
        "mst_key": "integer NOT NULL",
        "version": "integer NOT NULL",
        "epoch": "integer NOT NULL",
        "kind": "text NOT NULL",
        "report": "json NOT NULL",
    },
}
"""``mst_key`` is the model's number (MADlib's word), ``version`` counts what its state has seen."""

KEYS: Mapping[str, str] = {
    MODEL_TABLE: "mst_key, version, part",
    SCHEDULE_TABLE: "mst_key",
    VISIT_TABLE: "mst_key, epoch, kind",
}

VIEWS: Mapping[str, str] = {TRAIN_VIEW: "train_packed", VALID_VIEW: "valid_packed"}

_UNIT_COLUMNS = {
    "__dist_key__": "integer NOT NULL",
    "mst_key": "integer",
    "job": "json",
    **{name: kind for name, kind in PACKED_COLUMNS.items() if name != "__dist_key__"},
}


def make_unit_tables(cluster: Cluster) -> None:
    """Make tables and views where the coordinator does not know them all yet.

    The packed tables must be there. The coordinator learns of the last view last, so a half-made
    set is made again.
    """
    if VALID_VIEW in cluster.tables():
        return

    def one(segment: Segment) -> None:
        with cluster.session(segment) as session:
            session.autocommit = False
            with session, session.cursor() as cursor:
                cursor.execute(_segment_tables(segment.key))

    cluster.on_segments(one)
    for table, columns in TABLES.items():
        cluster.shard(table, columns)
    for view in VIEWS:
        cluster.shard(view, _UNIT_COLUMNS)


def _segment_tables(key: int) -> str:
    statements = [f"DROP TABLE IF EXISTS {', '.join(TABLES)} CASCADE;"]
    for table, columns in TABLES.items():
        body = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        statements.append(
            f"CREATE TABLE {table} ({body}, CHECK (__dist_key__ = {key}), "
            f"PRIMARY KEY ({KEYS[table]}));"
        )
    # Versions come and go; their space is wanted again long before a fifth of the table is dead.
    statements.append(
        f"ALTER TABLE {MODEL_TABLE} ALTER bytes SET STORAGE EXTERNAL;"
        f"ALTER TABLE {MODEL_TABLE} SET (toast.autovacuum_vacuum_scale_factor = 0,"
        " toast.autovacuum_vacuum_threshold = 8192);"
    )
    for view, packed in VIEWS.items():
        columns_of_rows = ", ".join(
            f"CASE WHEN madlib.cached(s.job, p.buffer_id, p.__dist_key__) THEN NULL "
            f"ELSE p.{name} END AS {name}"
            if name in {"independent_var", "dependent_var"}
            else f"p.{name}"
            for name in PACKED_COLUMNS
            if name != "__dist_key__"
        )
        statements.append(
            f"CREATE VIEW {view} AS SELECT p.__dist_key__, s.mst_key, s.job, {columns_of_rows} "
            f"FROM {SCHEDULE_TABLE} s JOIN {packed} p USING (__dist_key__);"
        )
    return "\n".join(statements)
