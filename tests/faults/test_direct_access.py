"""What only Direct Access can lose: the server while workers read, and what a worker has read."""

from __future__ import annotations

from dataclasses import replace

from experiments.specs.topology import SEGMENT, WORKER
from tests.faults.harness import FaultyRun, Kill, small_spec

PACKED = 4
"""Spans of the ETL once both splits are loaded and packed; the workers read next."""


def test_a_worker_that_came_back_reads_its_shard_again() -> None:
    """And a segment that dies before it is read is waited for."""
    run = FaultyRun.of(small_spec("da-cerebro", seed=21))
    run.complete([Kill(SEGMENT, "span", PACKED, choice=1), Kill(WORKER, "unit_finished", 5)])
    run.check()
    read = [e for e in run.events() if e.kind == "span" and e.phase == "etl.read"]
    held = {e.worker: e.detail for e in run.events() if e.kind == "shard_read"}
    assert set(held) == {0, 1}
    assert sorted(str(each.worker) for each in read) in (["0", "0", "1"], ["0", "1", "1"])
    for span in read:
        assert span.bytes == held[span.worker]["held_bytes"] == held[span.worker]["shard_bytes"]


def test_a_segment_that_dies_while_units_read_from_it() -> None:
    """Without room to hold anything, every unit reads all its rows."""
    spec = small_spec("da-cerebro", seed=22)
    uncached = replace(spec.protocol, name="uncached", caches=False)
    run = FaultyRun.of(replace(spec, protocol=uncached))
    run.complete([Kill(SEGMENT, "unit_started", n, 0.05, n) for n in (4, 9, 14)])
    run.check()
    moved = [e for e in run.events() if e.kind == "span" and e.phase == "data_transmission"]
    assert all(each.bytes for each in moved if each.epoch is not None)
