"""What every approach owes, whatever its traits; and that every trait has a suite."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from experiments.approaches.base import find
from experiments.paths import state
from experiments.runner.execute import execute
from experiments.runner.plan import RunState, planned
from experiments.specs.load import approaches, experiments
from experiments.specs.model import ModelConfig
from experiments.telemetry.journal import read
from tests.contracts.conftest import Finished, contract_spec

Runs = Callable[..., Finished]


@pytest.mark.parametrize("name", approaches())
def test_declared_traits_have_suites(name: str) -> None:
    assert find(name).traits
    for trait in find(name).traits:
        suite = Path(__file__).with_name(f"test_{trait.value.replace('-', '_')}.py")
        assert suite.exists(), f"{name} declares {trait.value}, which has no suite"


@pytest.mark.parametrize("name", approaches())
def test_takes_part_in_experiments_that_exist(name: str) -> None:
    assert approaches()[name].experiments
    assert set(approaches()[name].experiments) <= set(experiments())


@pytest.mark.parametrize("name", approaches())
def test_a_run_ends_with_its_result_and_leaves_nothing_else(name: str, finished: Runs) -> None:
    done = finished(name)
    result = json.loads(done.run.folder.result.read_text())
    assert result["evidence"] == "measured"
    assert result["spec"] == json.loads(json.dumps(done.run.spec.to_json()))
    assert done.events[-1].kind == "run_finished"
    assert planned(done.run.spec).state is RunState.DONE
    assert not (state().clusters / done.run.name).exists()
    assert not (state().stores / done.run.name).exists()
    leftovers = [
        process.info["pid"]
        for process in psutil.process_iter(["pid", "cmdline"])
        if done.run.name in (line := " ".join(process.info["cmdline"] or ()))
        and str(state().root) in line  # another session's runs may have the same name
    ]
    assert not leftovers


@pytest.mark.parametrize("name", approaches())
def test_approaches_start_from_the_same_weights(name: str, finished: Runs) -> None:
    """A model's first unit has the same loss everywhere: weights, rows, seed and order are."""
    first = next(iter(approaches()))
    one = finished(first)
    unit = next(e for e in one.events if e.kind == "unit_finished" and e.model == 0)
    (loss,) = (
        event.detail["loss"]
        for event in finished(name, f"replay:{one.run.name}").events
        if event.kind == "unit_finished"
        and event.detail["kind"] == "train"
        and (event.model, event.partition, event.epoch) == (0, unit.partition, unit.epoch)
    )
    assert loss == pytest.approx(unit.detail["loss"], rel=1e-6)


@pytest.mark.parametrize("name", approaches())
def test_a_model_that_diverges_ends_with_nan_and_not_the_run(name: str) -> None:
    wild = ModelConfig("linear", 1e38, 0.0, 16)
    calm = replace(wild, learning_rate=1e-2)
    spec = replace(contract_spec(name), experiment="diverge", epochs=1, configs=(wild, calm))
    run = planned(spec)
    execute(run, lambda _: None)
    marks = {e.model: e.detail for e in read(run.folder.journal) if e.kind == "evaluated"}
    assert not math.isfinite(float(marks[0]["loss"]))
    assert math.isfinite(float(marks[1]["loss"]))
