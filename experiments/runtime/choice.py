"""Which runtime carries out a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from experiments.errors import EnvironmentFault, SpecError
from experiments.runtime import provisioned
from experiments.runtime.base import Runtime

AUTO, LOCAL, DOCKER, CLUSTER = "auto", "local", "docker", "cluster"
RUNTIMES = (AUTO, LOCAL, DOCKER, CLUSTER)
VARIABLE = "CEREBRO_DS_RUNTIME"
"""The default of ``--runtime``."""

WITHOUT_CONTAINERS = "everything runs as processes of this machine"
"""How the line begins that tells why ``auto`` does not mean Docker."""

Say = Callable[[str], None]


def choose(wanted: str, say: Say, *, spark_master: str = "") -> str:
    """The runtime to use: Docker where an engine answers, unless the user names another.

    Parameters
    ----------
    wanted : one of :data:`RUNTIMES`.
    say : takes the line that tells why ``auto`` does not mean Docker.
    spark_master : address of the Spark cluster to use, if one exists.

    Raises
    ------
    EnvironmentFault
        What was named cannot be used; the message says what to do.
    """
    if wanted == LOCAL:
        return LOCAL
    if wanted == CLUSTER:
        if spark_master:
            raise SpecError("--spark-master: a cluster has its own Spark; use --runtime local")
        provisioned.cluster()
        return CLUSTER
    if spark_master:
        reason = "the network of a run's containers has no way out to a Spark cluster that exists"
        if wanted == DOCKER:
            raise SpecError(f"--spark-master: {reason}; use --runtime local")
        say(f"{WITHOUT_CONTAINERS}: {reason}")
        return LOCAL
    reason = _why_not_docker()
    if reason and wanted == DOCKER:
        raise EnvironmentFault(f"{reason}, or use --runtime {LOCAL}")
    if reason:
        say(f"{WITHOUT_CONTAINERS}: {reason}")
    return LOCAL if reason else DOCKER


def _why_not_docker() -> str:
    from experiments.runtime import engine

    try:
        with closing(engine.connect()) as client:
            return engine.unfit(client)
    except EnvironmentFault as fault:
        return str(fault)


@contextmanager
def make(kind: str, root: Path, memory: Mapping[str, int]) -> Iterator[Runtime]:
    """A runtime, stopped at the end.

    Parameters
    ----------
    kind : one of :data:`RUNTIMES`, not :data:`AUTO`.
    root : the cluster's folder.
    memory : bound on the memory of each role and of the driver, bytes; where they are containers.
    """
    if kind == LOCAL:
        from experiments.runtime.local import LocalRuntime

        with LocalRuntime(root) as local:
            yield local
        return
    if kind == CLUSTER:
        from experiments.runtime.cluster import ClusterRuntime

        with ClusterRuntime(root, memory) as machines:
            yield machines
        return
    from experiments.runtime.docker import DockerRuntime
    from experiments.runtime.engine import connect

    with closing(connect()) as client, DockerRuntime(root, client, memory) as runtime:
        yield runtime
