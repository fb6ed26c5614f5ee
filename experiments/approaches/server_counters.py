"""What a run's database servers have counted of themselves, for its journal."""

from __future__ import annotations

from typing import Any

import psycopg2

from experiments.approaches.in_database import cluster_of
from experiments.errors import ReproduceError
from experiments.specs.topology import Topology
from experiments.warehouse import counters


def told(topology: Topology) -> dict[str, Any]:
    """``servers`` with the counters of each, or the ``reason`` why they cannot be asked."""
    try:
        return {"servers": counters.read(cluster_of(topology))}
    except (ReproduceError, psycopg2.Error) as error:
        return {"reason": str(error)}
