"""ETL that all in-database approaches share: load both splits, then pack them, in the segments."""

from __future__ import annotations

import time

from experiments.approaches.base import RunContext
from experiments.datasets import SPLITS
from experiments.specs.secrets import Secrets
from experiments.telemetry.journal import Span
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import Segment
from experiments.warehouse.load import load
from experiments.warehouse.pack import pack


def cluster_of(context: RunContext) -> Cluster:
    """The database that the topology describes."""
    topology = context.topology
    return Cluster(
        coordinator=topology.coordinator,
        segments=tuple(
            Segment(key, address, port) for key, (address, port) in enumerate(topology.segments)
        ),
        password=Secrets(topology.secrets).password(),
    )


def prepare(context: RunContext, cluster: Cluster) -> None:
    """Load and pack what is not there yet; journaled as ``etl.load`` and ``etl.pack``."""
    cluster.setup()
    there = cluster.tables()
    for split in SPLITS:
        if split not in there:
            start = time.monotonic_ns()
            loaded = load(cluster, context.dataset, split, split)
            span = Span("etl.load", start, time.monotonic_ns(), loaded.bytes)
            context.journal.span(span)
        if f"{split}_packed_summary" not in there:
            start = time.monotonic_ns()
            pack(cluster, split, context.dataset.input_shape, context.dataset.classes)
            context.journal.span(Span("etl.pack", start, time.monotonic_ns()))
