"""What a finished run took is told part by part, and only of this machine and whole runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.paths import RunFolder
from experiments.runner.seen import Network, seen, shape
from experiments.specs.load import run_spec
from tests.runner.timed_runs import BEGAN, Machine, spec_of


def test_a_run_is_told_in_parts(tmp_path: Path) -> None:
    machine = Machine()
    spec = spec_of()
    expected = machine.parts(spec)
    first = machine.write(tmp_path, spec)
    seconds = sum(value for name, value in expected.items() if name != "stop")
    machine.write(tmp_path, spec, BEGAN + seconds + expected["stop"])
    found = seen(tmp_path.iterdir())
    assert [each.name for each in found][:1] == [first.name]
    told = found[0]
    for part in ("start", "etl", "init", "stop"):
        assert told.parts[part] == pytest.approx(expected[part], abs=1e-3)
    assert told.epochs == pytest.approx(expected["epochs"], abs=1e-3)
    assert told.seconds == pytest.approx(seconds + expected["stop"], abs=1e-3)
    assert told.computed + told.beside == pytest.approx(
        told.shape.parallel * expected["epochs"], rel=1e-3
    )
    assert "stop" not in found[1].parts, "nobody waited for its end"
    assert told.bytes == sum(path.stat().st_size for path in first.iterdir())


def test_what_is_not_whole_or_of_this_machine_tells_nothing(tmp_path: Path) -> None:
    machine, spec = Machine(), spec_of()
    elsewhere = {"cores": 999, "processor": "vax", "memory_bytes": 1}
    machine.write(tmp_path, spec, BEGAN, machine=elsewhere)
    begun = RunFolder(machine.write(tmp_path, spec, BEGAN + 1))
    begun.result.unlink()
    again = RunFolder(machine.write(tmp_path, spec, BEGAN + 2))
    with again.journal.open("a") as journal:
        line = {"kind": "unit_lost", "run": "r", "wall": BEGAN, "mono_ns": 0}
        journal.write(json.dumps(line) + "\n")
    torn = RunFolder(machine.write(tmp_path, spec, BEGAN + 3))
    torn.run.write_text("{")
    assert seen(tmp_path.iterdir()) == []


def test_the_shape_counts_what_an_approach_does() -> None:
    ctq, ddp = shape(spec_of("ctq", workers=4)), shape(spec_of("pytorch-ddp", workers=4))
    spec = spec_of("ctq", workers=4)
    models, rows = len(spec.configs), spec.dataset.train_rows
    network = Network("vgg-tiny", 32, "train")
    same = sum(config.architecture == "vgg-tiny" for config in spec.configs)
    assert ctq.work[network].rows == ddp.work[network].rows == same * rows
    assert ddp.work[network].steps == 4 * ctq.work[network].steps, "every rank takes each step"
    assert ctq.units == models * 4 * 2
    assert (ctq.parallel, ctq.networks) == (4, 2)


def test_a_search_counts_all_its_trials() -> None:
    spec = run_spec("search", "ctq", "smoke", workers=8)
    assert spec.search is not None
    todo = shape(spec)
    assert todo.units == spec.search.trials * spec.epochs * 16
    assert todo.parallel == spec.search.concurrency
