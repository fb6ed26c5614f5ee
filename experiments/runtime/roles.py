"""One role, one command: what ``python -m experiments role NAME`` does."""

from __future__ import annotations

import argparse
import difflib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from experiments.errors import SpecError, UserError
from experiments.lifetime import die_with_parent
from experiments.paths import state
from experiments.runtime import dask_roles, gpus, spark_roles
from experiments.runtime.started import USER_ERROR_STATUS
from experiments.specs.secrets import Secrets
from experiments.specs.topology import (
    COORDINATOR,
    EVERY_NODE_ROLES,
    SAMPLER,
    SCHEDULER,
    SEGMENT,
    SPARK_MASTER,
    SPARK_WORKER,
    WORKER,
    Node,
    Topology,
)


def command(arguments: Sequence[str]) -> int:
    """``role NAME --topology FILE --node I``: carry a role; the exit code.

    What the user can mend is one last line on stderr and
    :data:`~experiments.runtime.started.USER_ERROR_STATUS`.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments role", allow_abbrev=False)
    parser.add_argument("name", metavar="NAME", help=", ".join(ROLES))
    parser.add_argument("--topology", type=Path, required=True, metavar="FILE")
    parser.add_argument("--node", type=int, required=True, metavar="I")
    options = parser.parse_args(arguments)
    try:
        main(options.name, options.topology, options.node)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR_STATUS
    return 0


def main(name: str, topology_path: Path, node: int) -> None:
    """Carry a role until it is told to stop. The process ends with whoever started it.

    Parameters
    ----------
    name : role, one of :data:`ROLES`.
    topology_path : the cluster's ``topology.json``.
    node : index of the node to carry it on.

    Raises
    ------
    SpecError
        There is no such role or node, or the topology file is damaged.
    EnvironmentFault
        The port is taken, the node's GPU is not there, or something else is missing on this
        machine.
    """
    serve = ROLES.get(name)
    if serve is None:
        near = difflib.get_close_matches(name, ROLES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(ROLES)}"
        raise SpecError(f"unknown role {name!r}: {hint}")
    die_with_parent(signal.SIGTERM)
    topology = Topology.read(topology_path)
    carriers = {carrier.index: carrier for carrier in topology.nodes_of(name)}
    if node not in carriers:
        nodes = ", ".join(map(str, carriers))
        raise SpecError(f"{topology_path}: role {name} runs on node {nodes}, not on {node}")
    _give_gpu(name, topology, carriers[node])
    serve(topology, carriers[node])


def _give_gpu(role: str, topology: Topology, node: Node) -> None:
    """Let this process, and what it starts, see what its node trains on and nothing else."""
    if role not in EVERY_NODE_ROLES:
        os.environ.update(gpus.NO_GPU)
        return
    print(gpus.told(topology, node), file=sys.stderr, flush=True)
    os.environ.update(gpus.gpu_environment(topology, node))


def _database(role: str) -> Callable[[Topology, Node], None]:
    def run(topology: Topology, node: Node) -> None:
        from experiments.warehouse.server import serve

        address, port = node.endpoint(role)
        serve(
            role=role,
            data=node.data,
            address=address,
            port=port,
            password=Secrets(topology.secrets).password(),
            user=topology.user,
            stores=state().stores,
            cache_bytes=topology.cache_bytes,
            client_networks=_networks(topology),
        )

    return run


def _networks(topology: Topology) -> tuple[str, ...]:
    """The nodes' own addresses, as PostgreSQL's access file writes them."""
    hosts = {socket.gethostbyname(node.address) for node in topology.nodes}
    return tuple(f"{host}/32" for host in sorted(hosts))


def _sample(topology: Topology, node: Node) -> None:
    from experiments.telemetry import marks, sampler, store

    reader = sampler.Sampler(
        topology.name, marks.own_cluster(topology.name), node.index, node.address
    )
    path = state().live(topology.name) / store.LIVE.format(node.index)
    sampler.run(reader, path, sampler.period())


ROLES: Mapping[str, Callable[[Topology, Node], None]] = {
    SAMPLER: _sample,
    COORDINATOR: _database(COORDINATOR),
    SCHEDULER: dask_roles.run_scheduler,
    SPARK_MASTER: spark_roles.run_master,
    SEGMENT: _database(SEGMENT),
    WORKER: dask_roles.run_worker,
    SPARK_WORKER: spark_roles.run_worker,
}
