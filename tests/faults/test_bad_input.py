"""What changed between two starts of a run: taken in its stride, or named and mended."""

from __future__ import annotations

import shutil
import socket

from experiments.datasets import prepare
from experiments.specs.topology import Topology
from tests.faults.harness import FaultyRun, small_spec
from tests.faults.test_damage import ends_as_if_nothing_had_happened, finished


def test_ports_that_others_took_meanwhile_are_replaced() -> None:
    run = FaultyRun.of(small_spec("ctq", seed=110))
    run.interrupted(units=3)
    before = Topology.read(run.run.folder.topology)
    taken = [before.coordinator, before.segments[1]]
    first, second = (socket.create_server(endpoint) for endpoint in taken)
    with first, second:
        ends_as_if_nothing_had_happened(run, finished(run))
    after = Topology.read(run.run.folder.topology)
    assert after.segments[0] == before.segments[0]
    assert {after.coordinator, after.segments[1]}.isdisjoint(taken)


def test_a_data_set_damaged_meanwhile_is_named_and_made_again() -> None:
    run = FaultyRun.of(small_spec("cerebro-standalone", seed=111))
    run.interrupted(units=3)
    spec = run.run.spec
    folder = prepare(spec.dataset, spec.workers, spec.seed).root
    (folder / "manifest.json").write_text("{")
    code, said = run.once()
    assert code == 2, said
    assert said.startswith(f"error: {folder}/manifest.json is not the manifest of a data set")
    assert f"delete the folder {folder} and run again" in said
    assert len(said.splitlines()) == 1
    run.gave_up()
    shutil.rmtree(folder)
    ends_as_if_nothing_had_happened(run, finished(run))
