"""ETL that all in-database approaches share: load both splits, then pack them, in the segments."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from experiments.approaches.base import RunContext
from experiments.approaches.recovery import Recovery
from experiments.datasets import SPLITS
from experiments.specs.secrets import Secrets
from experiments.specs.topology import Topology
from experiments.telemetry.journal import Span, read
from experiments.warehouse import account
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import PACKED_COLUMNS, RAW_COLUMNS, Segment
from experiments.warehouse.failures import translated
from experiments.warehouse.load import load
from experiments.warehouse.pack import pack

CONNECT_SECONDS = 5.0
T = TypeVar("T")


def cluster_of(topology: Topology) -> Cluster:
    """The database that a topology describes."""
    return Cluster(
        coordinator=topology.coordinator,
        segments=tuple(
            Segment(key, address, port) for key, (address, port) in enumerate(topology.segments)
        ),
        password=Secrets(topology.secrets).password(),
    )


def prepare(context: RunContext, cluster: Cluster, *, packs: bool = True) -> None:
    """Load and pack what is not there yet; journaled as ``etl.load`` and ``etl.pack``.

    A table of the same name that is not as we make it is replaced. A server that dies meanwhile is
    waited for, and what it was doing is done again.

    Parameters
    ----------
    packs : False leaves the rows as they are loaded.

    Raises
    ------
    ServerDied
        A server died and did not come back.
    UserError
        A full disk, or a table that differs from the files.
    """
    step = partial(persist, cluster)
    step(cluster.setup)
    there = step(cluster.tables)
    journaled = {(event.phase, event.detail.get("split")) for event in read(context.journal.path)}
    for split in SPLITS:
        loads = there.get(split) != [*RAW_COLUMNS]
        if loads:
            start = time.monotonic_ns()
            loaded = step(partial(load, cluster, context.dataset, split, split))
            span = Span("etl.load", start, time.monotonic_ns(), loaded.bytes)
            context.journal.append("span", span=span, split=split)
        elif ("etl.load", split) not in journaled:
            _journal_reused(context, cluster, split, split)
        summary = f"{split}_packed_summary"
        packed = summary in there and there.get(f"{split}_packed") == [*PACKED_COLUMNS]
        if packs and (loads or not packed):
            start = time.monotonic_ns()
            data, protocol = context.dataset, context.spec.protocol
            packing = partial(
                pack,
                cluster,
                split,
                data.input_shape,
                data.classes,
                storage=protocol.storage,
                buffer_bytes=protocol.buffer_bytes,
            )
            moved = step(packing).bytes
            span = Span("etl.pack", start, time.monotonic_ns(), moved)
            context.journal.append("span", span=span, split=split)
        elif packs and ("etl.pack", split) not in journaled:
            _journal_reused(context, cluster, split, summary)


def _journal_reused(context: RunContext, cluster: Cluster, split: str, table: str) -> None:
    """What making a table took, of an earlier start that was killed before it could say so."""
    span = persist(cluster, partial(account.read, cluster, table))
    if span is not None:
        context.journal.append("span", span=span, split=split, reused=True)


def persist(cluster: Cluster, action: Callable[[], T]) -> T:
    """Do something that may be done again, and do it again when a server dies meanwhile.

    Raises what :func:`prepare` does.
    """
    return Recovery().persist(_named(action), _named(partial(_reach, cluster)))


def _named(action: Callable[[], T]) -> Callable[[], T]:
    """The action with database errors as what they mean."""

    def run() -> T:
        with translated("the database"):
            return action()

    return run


def _reach(cluster: Cluster) -> None:
    """Meet every server once."""
    for segment in (None, *cluster.segments):
        cluster.connect(segment, patience=CONNECT_SECONDS).close()
