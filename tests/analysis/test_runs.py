"""Loading finished runs, and refusing to put together what does not belong together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.analysis.runs import by_experiment, comparable, load, load_result
from experiments.errors import DataError, SpecError
from experiments.paths import RunFolder
from experiments.specs.load import protocols, run_spec
from experiments.specs.model import DatasetSpec, ModelConfig
from experiments.telemetry.journal import Journal
from tests.analysis.synthetic_runs import CTQ_S, spec, typical, write_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "ctq-1", spec(), typical(spec(), CTQ_S))


def test_a_finished_run_comes_back_as_it_was_written(folder: Path) -> None:
    run = load(folder)
    assert run.name == "ctq-1"
    assert run.spec == spec()
    assert run.evidence == "measured"
    assert run.classes == 10
    assert run.seconds == {"etl": 1.0, "init": 2.0, "train": 3.0}
    assert run.events[0].kind == "run_started"
    assert run.events[-1].kind == "run_finished"


def test_a_run_without_result_is_an_error(folder: Path) -> None:
    RunFolder(folder).result.unlink()
    with pytest.raises(DataError, match=r"ctq-1: the run is not finished"):
        load(folder)


def test_a_run_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such run"):
        load_result(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["run", "journal"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    path = getattr(RunFolder(folder), name)
    path.unlink()
    with pytest.raises(DataError, match=path.name):
        load(folder)


@pytest.mark.parametrize("classes", [None, "ten", 1, 2.5])
def test_a_result_without_its_number_of_classes_is_refused(folder: Path, classes: Any) -> None:
    path = RunFolder(folder).result
    path.write_text(json.dumps({**json.loads(path.read_text()), "classes": classes}))
    with pytest.raises(DataError, match=r"result\.json"):
        load(folder)


def test_restarts_of_roles_are_counted(folder: Path) -> None:
    assert load(folder).restarts == 0
    with Journal(RunFolder(folder).restarts, "ctq-1") as restarts:
        restarts.append("restarted", role="worker", node=1)
    assert load(folder).restarts == 1


def test_experiments_of_one_figure_are_kept_apart(tmp_path: Path) -> None:
    other = spec(experiment="other")
    runs = [
        load(write_run(tmp_path / name, run, typical(run, CTQ_S)))
        for name, run in (("a", spec()), ("b", other), ("c", spec(seed=2)))
    ]
    groups = {name: [run.name for run in group] for name, group in by_experiment(runs).items()}
    assert groups == {"breakdown": ["a", "c"], "other": ["b"]}
    small = replace(protocols()["equal"], name="small")
    for changed in (
        replace(runs[1], evidence="emulated"),
        replace(runs[1], spec=replace(other, workers=4)),
        replace(runs[1], spec=replace(other, protocol=small)),
    ):
        with pytest.raises(SpecError, match="evidence, scale, protocol or workers"):
            by_experiment([*runs[:1], changed])
    with pytest.raises(SpecError, match="at least one"):
        by_experiment([])


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"run": "a", "spec": {}}'])
def test_a_damaged_result_is_named(folder: Path, content: str) -> None:
    RunFolder(folder).result.write_text(content)
    with pytest.raises(DataError, match=r"result\.json"):
        load(folder)


def test_unknown_evidence_is_refused(folder: Path) -> None:
    path = RunFolder(folder).result
    path.write_text(json.dumps({**json.loads(path.read_text()), "evidence": "imputed"}))
    with pytest.raises(DataError, match="'imputed'"):
        load(folder)


def test_a_torn_last_line_is_left_out(folder: Path) -> None:
    events = load(folder).events
    with RunFolder(folder).journal.open("a") as journal:
        journal.write('{"kind": "sp')
    assert load(folder).events == events


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("scale", "laptop"),
        ("protocol", replace(protocols()["equal"], name="paper")),
        ("workers", 3),
        ("epochs", 2),
        ("dataset", DatasetSpec("fashion-mnist", 2400, 801)),
        ("configs", (ModelConfig("vgg-tiny", 1e-4, 1e-4, 32),)),
    ],
)
def test_runs_that_differ_in_more_than_approach_and_seed_are_refused(
    tmp_path: Path, setting: str, value: Any
) -> None:
    changed = spec(approach="ma", **{setting: value})
    runs = [
        load(write_run(tmp_path / "a", spec(), typical(spec(), CTQ_S))),
        load(write_run(tmp_path / "b", changed, typical(changed, CTQ_S))),
    ]
    with pytest.raises(SpecError, match=f"a and b: they differ in {setting}"):
        comparable(runs)


def test_kinds_of_evidence_are_never_mixed(tmp_path: Path) -> None:
    spans = typical(spec(), CTQ_S)
    runs = [
        load(write_run(tmp_path / "a", spec(), spans)),
        load(write_run(tmp_path / "b", spec(seed=2), spans, evidence="emulated")),
    ]
    with pytest.raises(SpecError, match="evidence"):
        comparable(runs)


def test_the_same_approach_and_seed_twice_is_refused(tmp_path: Path) -> None:
    spans = typical(spec(), CTQ_S)
    runs = [load(write_run(tmp_path / name, spec(), spans)) for name in "ab"]
    with pytest.raises(SpecError, match="both ctq with seed 1"):
        comparable(runs)


def test_no_run_is_refused() -> None:
    with pytest.raises(SpecError, match="at least one"):
        comparable([])


def test_a_figure_names_the_device_and_shows_one_only(tmp_path: Path) -> None:
    """Runs of two devices, or of two speeds of one, are as different as two kinds of evidence."""
    runs = []
    for approach, device, speedup in (("ctq", "p100", 2), ("udaf", "p100", 4), ("ma", "t4", 2)):
        emulated = run_spec("breakdown", approach, "smoke", device=device, speedup=speedup)
        spans = typical(emulated, CTQ_S)
        runs.append(load(write_run(tmp_path / approach, emulated, spans, evidence="emulated")))
    assert runs[0].shown == "emulated (p100, 2 times as fast)"
    for other in runs[1:]:
        with pytest.raises(SpecError, match=r"they differ in device \(\('p100', 2"):
            comparable([runs[0], other])
