"""What making a table took, kept with the table itself.

Whoever made a table may be killed before its journal says so; who finds the table then still knows
what it cost. The account is the table's comment on the coordinator, and is committed with it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

from experiments.telemetry.journal import Span
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import quote


def note(phase: str, start_ns: int, moved: int) -> str:
    """The account of a piece of work that ends now."""
    return json.dumps(asdict(Span(phase, start_ns, time.monotonic_ns(), moved)))


def write(cursor: Any, table: str, account: str) -> None:
    """Put an account on a table of the coordinator."""
    cursor.execute(f"COMMENT ON TABLE {table} IS {quote(account)}")


def read(cluster: Cluster, table: str) -> Span | None:
    """The account of a table; nothing where it has none of ours."""
    with cluster.session() as session, session.cursor() as cursor:
        cursor.execute("SELECT obj_description(to_regclass(%s), 'pg_class')", (table,))
        (text,) = cursor.fetchone()
    try:
        return Span(**json.loads(text or ""))
    except (ValueError, TypeError):
        return None
