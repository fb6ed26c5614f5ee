"""What a run on Spark asks of a machine, looked at before anything starts."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from experiments import java
from experiments.approaches.base import find
from experiments.errors import EnvironmentFault
from experiments.specs.model import RunSpec
from experiments.specs.spark import endpoints
from experiments.specs.topology import SPARK_MASTER, SPARK_WORKER

ROLES = (SPARK_MASTER, SPARK_WORKER)

DRIVER_BYTES = 450 * 2**20
"""Memory of the driver's JVM (measured: 0.3 to 0.45 GB)."""
MASTER_BYTES = 250 * 2**20
NODE_BYTES = 600 * 2**20
"""Memory of a worker and its executor, the executor's Python process aside (measured: 0.22 and 0.26
GB, the executor's heap not yet full)."""

ANSWER_SECONDS = 5.0


def is_on(approach: str) -> bool:
    """Whether an approach runs on Spark."""
    return SPARK_MASTER in find(approach).roles


def roles(spec: RunSpec, wanted: Sequence[str]) -> tuple[str, ...]:
    """The roles to start of those an approach wants: none of Spark's where a cluster exists."""
    return tuple(role for role in wanted if not (spec.spark_master and role in ROLES))


def memory_bytes(spec: RunSpec) -> int:
    """What Spark's JVMs take beside the processes that train."""
    if not is_on(spec.approach):
        return 0
    if spec.spark_master:
        return DRIVER_BYTES
    return DRIVER_BYTES + MASTER_BYTES + spec.workers * NODE_BYTES


def check(spec: RunSpec) -> None:
    """Find Java, and the cluster that is to be used.

    Raises
    ------
    EnvironmentFault
        There is no Java that fits, or no master answers.
    """
    if not is_on(spec.approach):
        return
    java.home()
    masters = endpoints(spec.spark_master)
    reasons = []
    for endpoint in masters:
        try:
            socket.create_connection(endpoint, ANSWER_SECONDS).close()
        except OSError as error:
            reasons.append(error.strerror or str(error))
        else:
            return
    if masters:
        raise EnvironmentFault(
            f"no Spark master answers at {spec.spark_master} ({reasons[0]}): start it, or leave "
            "out --spark-master for a cluster of this machine's own"
        )
