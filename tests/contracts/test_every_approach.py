"""What every approach owes, whatever its traits; and that every trait has a suite."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from experiments import nvidia
from experiments.approaches.base import Trait, find
from experiments.models.frameworks import CPU
from experiments.models.measures import roc_area
from experiments.paths import state
from experiments.runner.execute import execute
from experiments.runner.plan import RunState, planned
from experiments.specs.load import SCALES, approaches, experiments, protocols
from experiments.specs.model import DatasetSpec, ModelConfig
from experiments.telemetry.journal import read
from tests.contracts.conftest import Finished, contract_spec
from tests.families import OWN

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
    row = approaches()[name]
    assert set(row.experiments) <= set(experiments())
    for absent in row.left_out:
        assert absent.experiment in row.experiments
        assert absent.scale in SCALES
        assert absent.reason


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
def test_every_unit_says_what_it_was_trained_on(name: str, finished: Runs) -> None:
    done = finished(name)
    given = json.loads(done.run.folder.run.read_text())["machine"]["devices"]
    assert len(given) == done.run.spec.workers
    used = {e.detail["device"] for e in done.events if e.kind == "unit_finished"}
    assert all(used)
    if not nvidia.find().gpus:
        assert {*given} == used == {CPU}


NOT_BY_PARTITION = {Trait.DATA_PARALLEL, Trait.TASK_PARALLEL}
TRAIN_UNITS_ALONE = [n for n in OWN if not NOT_BY_PARTITION & find(n).traits]
"""Where a unit is one partition's and its loss depends on no other unit; the replays of data and of
task parallelism show the same."""


@pytest.mark.parametrize("name", TRAIN_UNITS_ALONE)
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
def test_the_evaluation_is_of_every_model_on_every_row(name: str, finished: Runs) -> None:
    """Segment by segment, at the end of every epoch: the same as all rows at once."""
    done = finished(name)
    spec, marks = done.run.spec, done.marks()
    models = range(len(spec.configs))
    assert set(marks) == {(epoch, model) for epoch in (1, 2) for model in models}
    for model in models:
        whole, mark = done.evaluated_at_once(model), marks[spec.epochs, model]
        assert mark["rows"] == whole.rows == spec.dataset.valid_rows
        mean = whole.loss_sum / whole.rows
        assert float(mark["loss"]) == pytest.approx(mean, rel=1e-4, nan_ok=True)
        assert mark["top1_error"] == pytest.approx(1 - whole.top1_correct / whole.rows)
        assert mark["top5_error"] == pytest.approx(1 - whole.top5_correct / whole.rows)


@functools.cache
def odd_run(name: str) -> Finished:
    """Two classes, one model that diverges, and no caches."""
    wild = ModelConfig("linear", 1e38, 0.0, 16)
    calm = replace(wild, learning_rate=1e-2)
    spec = replace(
        contract_spec(name),
        experiment="odd",
        protocol=replace(protocols()["equal"], name="uncached", caches=False),
        epochs=1,
        dataset=DatasetSpec("criteo-generated", train_rows=203, valid_rows=61),
        configs=(wild, calm),
    )
    run = planned(spec)
    execute(run, lambda _: None)
    return Finished(run, tuple(read(run.folder.journal)))


@pytest.mark.parametrize("name", OWN)
def test_a_model_that_diverges_ends_with_nan_and_not_the_run(name: str) -> None:
    marks = odd_run(name).marks()
    assert not math.isfinite(float(marks[1, 0]["loss"]))
    assert "auc" not in marks[1, 0]


@pytest.mark.parametrize("name", OWN)
def test_the_area_under_the_curve_is_that_of_all_segments_together(name: str) -> None:
    done = odd_run(name)
    mark, whole = done.marks()[1, 1], done.evaluated_at_once(1)
    assert mark["loss"] == pytest.approx(whole.loss_sum / whole.rows, rel=1e-4)
    assert mark["auc"] == pytest.approx(roc_area(whole.ranks), abs=1e-3)
    assert 0 < mark["auc"] < 1


@pytest.mark.parametrize("name", OWN)
def test_a_protocol_without_caches_reads_every_buffer_again(name: str, finished: Runs) -> None:
    def hits(done: Finished) -> int:
        counters = [e.detail["counters"] for e in done.events if e.kind == "unit_finished"]
        return sum(each["buffer_hits"] for each in counters)

    assert hits(finished(name)) > 0
    assert hits(odd_run(name)) == 0
