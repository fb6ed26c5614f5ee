"""Where every role runs: the value that ``topology.json`` holds.

Whoever starts a cluster writes the file, everything else only reads it. Node *i* carries segment
*i*, worker *i* and Spark worker *i*; node 0 carries the coordinator, the worker-scheduler and the
Spark master as well; a sampler listens on no port, and watches a node, or all of one machine.
Secrets are named by their folder, so the file itself may be read by anyone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import SpecError
from experiments.files import write_atomically
from experiments.specs.fields import Fields

COORDINATOR = "coordinator"
SEGMENT = "segment"
SCHEDULER = "worker-scheduler"
WORKER = "worker"
SPARK_MASTER = "spark-master"
SPARK_WORKER = "spark-worker"
SAMPLER = "sampler"

FIRST_NODE_ROLES = (COORDINATOR, SCHEDULER, SPARK_MASTER)
EVERY_NODE_ROLES = (SEGMENT, WORKER, SPARK_WORKER)
ROLES = (*FIRST_NODE_ROLES, *EVERY_NODE_ROLES)
"""All roles that listen on a port, those that others connect to first."""
STARTED_ROLES = (SAMPLER, *ROLES)
"""All roles, in the order in which they start."""

LOOPBACK = "127.0.0.1"
"""Address of all nodes where they are processes of one machine."""

ALL_SEGMENTS, GPU_SEGMENTS = "all", "gpu"
SEGMENTS_TO_USE = (ALL_SEGMENTS, GPU_SEGMENTS)
"""Which nodes of a cluster take part: every one, or those that have a GPU."""

GPU_PREFIXES = ("GPU-", "MIG-")
"""How the UUID of a GPU, and of an instance of one, begins."""

CACHE_BYTES = 2**30
CACHE_BYTES_VARIABLE = "CEREBRO_DS_CACHE_BYTES"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""Bound the threads of a process that trains."""


def roles_of_node(index: int) -> tuple[str, ...]:
    """Roles with a port that node ``index`` may carry."""
    return ROLES if index == 0 else EVERY_NODE_ROLES


@dataclass(frozen=True)
class Node:
    """One machine, or one share of a machine.

    Attributes
    ----------
    index : position in the topology; also the number of its segment, worker and partition.
    address : IP address or host name that its roles listen on, and nothing else.
    data : absolute folder of its servers' files; no other node uses it.
    ports : role to TCP port.
    gpus : UUIDs of the GPUs it was given. Another node of the same machine may have them too.
    engine : address of the Docker engine that has its containers, such as ``ssh://user@host:22``;
        empty for this machine's, and where there are no containers.
    """

    index: int
    address: str
    data: Path
    ports: Mapping[str, int]
    gpus: tuple[str, ...] = ()
    engine: str = ""

    @property
    def gpu(self) -> str | None:
        """The one of its GPUs that it trains on; None where it trains on its CPU."""
        return self.gpus[0] if self.gpus else None

    def endpoint(self, role: str) -> tuple[str, int]:
        """Address and port of a role on this node."""
        return self.address, self.ports[role]

    def to_json(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "address": self.address,
            "data": str(self.data),
            "ports": dict(self.ports),
            "gpus": list(self.gpus),
            "engine": self.engine,
        }


@dataclass(frozen=True)
class Topology:
    """A cluster: its nodes and what all its roles have to know.

    Attributes
    ----------
    name : of the cluster, for people.
    secrets : absolute folder of mode 0700, see :mod:`experiments.runtime.secrets`.
    threads : threads a worker, or a segment's training, may compute with.
    nodes : in order of their index.
    user : unprivileged user that database servers started by root run as, or None.
    cache_bytes : bound on the decoded rows that one worker or segment keeps in memory.
    spark_home : folder of the Spark to run, or None for the one in this environment.
    """

    name: str
    secrets: Path
    threads: int
    nodes: tuple[Node, ...]
    user: str | None = None
    cache_bytes: int = CACHE_BYTES
    spark_home: Path | None = None

    @property
    def workers(self) -> int:
        """W: the number of nodes, segments, workers and partitions."""
        return len(self.nodes)

    @property
    def coordinator(self) -> tuple[str, int]:
        """Address and port of the database's coordinator."""
        return self.nodes[0].endpoint(COORDINATOR)

    @property
    def segments(self) -> tuple[tuple[str, int], ...]:
        """Address and port of every segment, in order of the partitions."""
        return tuple(node.endpoint(SEGMENT) for node in self.nodes)

    @property
    def scheduler(self) -> str:
        """Address of the worker-scheduler as Dask writes it."""
        address, port = self.nodes[0].endpoint(SCHEDULER)
        return f"tls://{address}:{port}"

    @property
    def spark_master(self) -> str:
        """Address of the Spark master as Spark writes it."""
        address, port = self.nodes[0].endpoint(SPARK_MASTER)
        return f"spark://{address}:{port}"

    def worker(self, index: int) -> str:
        """Address of a worker as Dask writes it."""
        address, port = self.nodes[index].endpoint(WORKER)
        return f"tls://{address}:{port}"

    def sharing(self, node: Node) -> int:
        """How many nodes train on the GPU of one, itself included."""
        return sum(each.gpu == node.gpu for each in self.nodes)

    def nodes_of(self, role: str) -> tuple[Node, ...]:
        """Nodes that carry ``role``; a sampler sees all that are processes of one machine."""
        once = role == SAMPLER and self.nodes[0].address == LOOPBACK
        return self.nodes[:1] if once or role in FIRST_NODE_ROLES else self.nodes

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "secrets": str(self.secrets),
            "threads": self.threads,
            "nodes": [node.to_json() for node in self.nodes],
            "user": self.user,
            "cache_bytes": self.cache_bytes,
            "spark_home": None if self.spark_home is None else str(self.spark_home),
        }

    def write(self, path: Path) -> None:
        """Write the file whole or not at all."""
        write_atomically(path, json.dumps(self.to_json(), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Topology:
        """Read and check a topology file.

        Raises
        ------
        SpecError
            The file is missing, is not JSON, or a field is missing, unknown, of the wrong kind or
            in conflict with another; the message names file and field.
        """
        try:
            data = json.loads(path.read_bytes())
        except OSError as error:
            raise SpecError(f"{path}: cannot be read ({error.strerror})") from None
        except ValueError as error:
            raise SpecError(f"{path}: is not JSON ({error})") from None
        return _topology(Fields(data, str(path)))


def _topology(fields: Fields) -> Topology:
    topology = Topology(
        name=fields.text("name"),
        secrets=fields.folder("secrets"),
        threads=fields.number("threads", low=1),
        nodes=tuple(_node(entry, index) for index, entry in enumerate(fields.items("nodes"))),
        user=fields.text_or_none("user"),
        cache_bytes=fields.number("cache_bytes", low=0, default=CACHE_BYTES),
        spark_home=fields.folder_or_none("spark_home"),
    )
    fields.finish()
    _check_apart(fields, topology)
    return topology


def _node(fields: Fields, index: int) -> Node:
    if fields.number("index", low=0) != index:
        raise fields.error("index", f"expected {index}: nodes are listed in order")
    ports = fields.child("ports")
    node = Node(
        index=index,
        address=fields.text("address"),
        data=fields.folder("data"),
        ports={role: ports.number(role, low=1, high=65535) for role in roles_of_node(index)},
        gpus=fields.texts("gpus"),
        engine=fields.text_or_empty("engine"),
    )
    for uuid in node.gpus:
        if not uuid.startswith(GPU_PREFIXES):
            raise fields.error("gpus", f"expected a UUID as of nvidia-smi -L, found {uuid!r}")
    ports.finish()
    fields.finish()
    return node


def _check_apart(fields: Fields, topology: Topology) -> None:
    """No two servers on one port, no two nodes of one machine in one folder."""
    owners: dict[tuple[str, object], str] = {}
    for node in topology.nodes:
        where = f"nodes[{node.index}]"
        claims: dict[str, object] = {f"{where}.data": node.data}
        claims.update({f"{where}.ports.{role}": port for role, port in node.ports.items()})
        for field, value in claims.items():
            owner = owners.setdefault((node.address, value), field)
            if owner != field:
                raise fields.error(field, f"{value} is also {owner}")
