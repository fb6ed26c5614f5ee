"""The cluster that ``--provision`` made, as this machine knows it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from experiments.errors import EnvironmentFault, SpecError
from experiments.paths import state
from experiments.specs.topology import GPU_SEGMENTS, Node, Topology

AGAIN = "give --provision with the cluster's inventory again"


def topology_file() -> Path:
    """Where ``--provision`` says what cluster there is."""
    return state().cluster / "topology.json"


def cluster() -> Topology:
    """The cluster.

    Raises
    ------
    EnvironmentFault
        There is none.
    """
    if not topology_file().exists():
        raise EnvironmentFault(
            "there is no cluster yet: python3 reproduce.py --provision INVENTORY makes one"
        )
    return Topology.read(topology_file())


def first_nodes(there: Topology, workers: int) -> tuple[Node, ...]:
    """The nodes of a run.

    Raises
    ------
    SpecError
        There are not so many.
    """
    if workers > there.workers:
        raise SpecError(
            f"the cluster {there.name} has {there.workers} nodes and {workers} workers are asked "
            "for: use fewer with --workers, or add hosts to its inventory"
        )
    return there.nodes[:workers]


def remarks(sizes: Iterable[int], segments: str) -> list[str]:
    """What a user should know before so many workers train on the cluster.

    Parameters
    ----------
    sizes : numbers of workers of the runs to come.
    segments : which nodes may take part, of
        :data:`~experiments.specs.topology.SEGMENTS_TO_USE`.

    Raises
    ------
    UserError
        It has too few nodes, or a node without a GPU among those that would train.
    """
    there = cluster()
    lines = []
    for workers in sizes:
        nodes = first_nodes(there, workers)
        without = [node.index for node in nodes if node.gpu is None]
        if without and segments == GPU_SEGMENTS:
            raise EnvironmentFault(
                f"--segments {GPU_SEGMENTS}: {workers} workers are the first {workers} nodes of "
                f"the cluster, and node {without[0]} has no GPU: name hosts with GPUs first in its "
                "inventory, or use fewer with --workers"
            )
        shared = max((there.sharing(node) for node in nodes if node.gpu), default=1)
        where = f"{workers - len(without)} of {workers} nodes train on GPUs"
        lines.append(f"{where}, the others on CPUs" if without else where)
        if shared > 1:
            lines.append(f"warning: up to {shared} nodes share a GPU")
    return lines
