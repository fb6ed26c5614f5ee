"""Tables are exact sums over journals."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.analysis import tidy
from experiments.analysis.runs import Run, load
from experiments.errors import DataError
from experiments.paths import RunFolder
from experiments.specs.model import RunSpec
from experiments.telemetry.journal import PHASES, Event, Journal, Span
from tests.analysis.synthetic_runs import (
    CTQ_S,
    SECOND,
    Timed,
    spec,
    typical,
    write_result,
    write_run,
)

FINISHED = {"kind": "valid", "counters": {"buffer_hits": 7}}
COUNTED = [phase for phases in tidy.COMPONENTS.values() for phase in phases]


@st.composite
def timed_runs(draw: st.DrawFn) -> tuple[RunSpec, list[Timed]]:
    """A run of up to 3 workers and epochs; every epoch has at least one counted span."""
    workers = draw(st.integers(1, 3))
    epochs = draw(st.integers(1, 3))
    length = st.integers(0, 5000 * SECOND)
    worker = st.integers(0, workers - 1)
    spans = [
        Timed(draw(worker), epoch, draw(st.sampled_from(COUNTED)), draw(length))
        for epoch in range(1, epochs + 1)
    ]
    within = st.builds(
        Timed, worker, st.integers(1, epochs), st.sampled_from([*COUNTED, "init"]), length
    )
    before = st.builds(Timed, st.none() | worker, st.none(), st.sampled_from(PHASES), length)
    spans += draw(st.lists(within | before, max_size=12))
    return spec(workers=workers, epochs=epochs), draw(st.permutations(spans))


@settings(max_examples=60, deadline=None)
@given(timed_runs())
def test_components_are_exact_sums_per_worker_and_epoch(made: tuple[RunSpec, list[Timed]]) -> None:
    run_spec, spans = made
    with tempfile.TemporaryDirectory() as root:
        run = load(write_run(Path(root) / "run", run_spec, spans))
    table = tidy.components(run).set_index("component")
    assert list(table.index) == list(tidy.COMPONENTS)
    total = sum(s.ns for s in spans if s.epoch and s.phase in COUNTED)
    for component, phases in tidy.COMPONENTS.items():
        ns = sum(s.ns for s in spans if s.epoch and s.phase in phases)
        exact = Fraction(ns, SECOND * run_spec.workers * run_spec.epochs)
        assert table.loc[component, "seconds"] == pytest.approx(float(exact), rel=1e-15, abs=0)
        if total:
            assert table.loc[component, "share"] == ns / total
    if total:
        assert table["share"].sum() == pytest.approx(1.0, abs=1e-12)
    init = sum(s.ns for s in spans if s.phase == "init")
    assert tidy.initialization(run) == pytest.approx(init / SECOND / run_spec.workers, rel=1e-15)


def test_a_longer_and_wider_run_of_the_same_epochs_has_the_same_components(tmp_path: Path) -> None:
    small, large = spec(workers=1, epochs=1), spec(workers=4, epochs=3)
    one = load(write_run(tmp_path / "one", small, typical(small, CTQ_S)))
    many = load(write_run(tmp_path / "many", large, typical(large, CTQ_S)))
    assert list(tidy.components(one)["seconds"]) == [19.5, 3.1, 0.35, 0.9]
    assert list(tidy.components(many)["seconds"]) == pytest.approx([19.5, 3.1, 0.35, 0.9])


def test_what_happens_before_the_first_epoch_is_not_in_the_components(tmp_path: Path) -> None:
    bare = [timed for timed in typical(spec(), CTQ_S) if timed.epoch]
    with_init = load(write_run(tmp_path / "a", spec(), typical(spec(), CTQ_S)))
    without = load(write_run(tmp_path / "b", spec(), bare))
    assert list(tidy.components(with_init)["seconds"]) == list(tidy.components(without)["seconds"])
    assert tidy.initialization(with_init) == 3.0
    assert tidy.initialization(without) == 0.0


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([Timed(0, 1, "train", 5)], r"epochs \[1\].*has \[1, 2\]"),
        ([Timed(0, 1, "train", 5), Timed(0, 3, "idle", 5)], r"epochs \[1, 3\]"),
        ([Timed(0, 1, "train", 5), Timed(2, 2, "train", 5)], r"workers \[0, 2\].*has 2"),
        ([Timed(0, 1, "train", 5), Timed(None, 2, "merge", 5)], "names no worker"),
        ([], r"epochs \[\]"),
    ],
)
def test_a_journal_that_does_not_fit_its_spec_is_refused(
    tmp_path: Path, spans: list[Timed], message: str
) -> None:
    run = load(write_run(tmp_path / "run", spec(epochs=2), spans))
    with pytest.raises(DataError, match=message):
        tidy.components(run)


def test_a_span_that_ends_before_it_starts_is_refused(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run", spec(), [Timed(0, 1, "train", -1)]))
    with pytest.raises(DataError, match="ends before it starts"):
        tidy.spans(run)


def units(folder: Path) -> Run:
    """A run that was killed in its second unit and went on; epochs evaluated twice."""
    names = RunFolder(folder)
    folder.mkdir()
    names.run.write_text("{}")

    def train(journal: Journal, model: int, seconds: int, *, finish: bool, hits: int = 0) -> None:
        journal.append("unit_started", worker=0, model=model, partition=0, epoch=1)
        span = Span("train", 0, seconds * SECOND, bytes=seconds)
        journal.span(span, worker=0, model=model, partition=0, epoch=1)
        if finish:
            counters = {"buffer_hits": hits, "buffer_misses": 1}
            journal.append(
                "unit_finished",
                worker=0,
                model=model,
                partition=0,
                epoch=1,
                counters=counters,
            )

    with Journal(names.journal, folder.name) as journal:
        train(journal, 0, 10, finish=True, hits=3)
        train(journal, 1, 99, finish=False)
    with Journal(names.journal, folder.name) as journal:
        train(journal, 1, 20, finish=True, hits=4)
        journal.span(Span("idle", 0, SECOND), worker=0, epoch=1)
        for loss in (9.0, 2.0):
            journal.append("evaluated", model=1, epoch=1, split="valid", rows=8, loss=loss)
        journal.append("evaluated", model=0, epoch=1, split="valid", rows=8, loss=1.0)
    write_result(folder, spec(workers=1))
    return load(folder)


def test_an_interrupted_unit_is_not_counted(tmp_path: Path) -> None:
    run = units(tmp_path / "run")
    table = tidy.spans(run)
    assert list(table["seconds"]) == [10.0, 20.0, 1.0]
    assert list(table["bytes"]) == [10, 20, 0]
    assert table["model"].isna().tolist() == [False, False, True]
    assert tidy.components(run)["seconds"].tolist() == [30.0, 0.0, 0.0, 1.0]


def test_spans_written_after_their_unit_finished_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    RunFolder(folder).run.write_text("{}")
    with Journal(RunFolder(folder).journal, "run") as journal:
        for phase in ("train", "valid"):
            for mark in ("unit_started", "unit_finished"):
                journal.append(mark, worker=0, model=0, partition=0, epoch=1)
            journal.span(Span(phase, 0, SECOND), worker=0, model=0, partition=0, epoch=1)
    write_result(folder, spec(workers=1))
    assert list(tidy.spans(load(folder))["phase"]) == ["train", "valid"]


def test_counters_are_one_row_each(tmp_path: Path) -> None:
    run = units(tmp_path / "run")
    event = Event("unit_finished", "run", 0.0, 0, 1, 2, 1, 3, detail=FINISHED)
    table = tidy.counters(replace(run, events=(*run.events, event)))
    rows = table[["model", "epoch", "counter", "value"]].values.tolist()
    assert rows == [
        [0, 1, "buffer_hits", 3],
        [0, 1, "buffer_misses", 1],
        [1, 1, "buffer_hits", 4],
        [1, 1, "buffer_misses", 1],
        [2, 3, "buffer_hits", 7],
    ]
    assert table["kind"].iloc[-1] == "valid"


def test_counter_totals_are_one_row_a_run(tmp_path: Path) -> None:
    run = spec(approach="cerebro-standalone")
    silent = load(write_run(tmp_path / "silent", run, typical(run, CTQ_S)))
    table = tidy.counter_totals([units(tmp_path / "run"), silent]).set_index("run")
    assert table.loc["run", ["buffer_hits", "buffer_misses"]].tolist() == [7, 2]
    assert table.loc["silent", ["buffer_hits", "buffer_misses"]].tolist() == [0, 0]
    assert list(tidy.counter_totals([silent])["run"]) == ["silent"]


def test_the_last_evaluation_of_a_model_and_epoch_counts(tmp_path: Path) -> None:
    table = tidy.evaluations(units(tmp_path / "run"))
    assert table[["model", "epoch", "loss"]].values.tolist() == [[0, 1, 1.0], [1, 1, 2.0]]
    assert table["config"].tolist() == [config.key for config in spec().configs]


def test_measures_are_numbers_and_auc_is_nan_where_absent(tmp_path: Path) -> None:
    def measures(model: int, epoch: int) -> dict[str, Any]:
        auc = {"auc": "nan"} if model else {"auc": 0.75}
        return {"loss": "inf", "top1_error": 0.5, "top5_error": 0.0, **auc}

    made = write_run(tmp_path / "a", spec(), typical(spec(), CTQ_S), classes=2, measures=measures)
    table = tidy.evaluations(load(made))
    assert table["loss"].tolist() == [math.inf, math.inf]
    assert table["auc"].tolist() == pytest.approx([0.75, math.nan], nan_ok=True)
    without = write_run(tmp_path / "b", spec(), typical(spec(), CTQ_S))
    assert tidy.evaluations(load(without))["auc"].isna().all()


def test_a_run_without_evaluations_has_an_empty_table(tmp_path: Path) -> None:
    run = spec(configs=())
    assert tidy.evaluations(load(write_run(tmp_path / "a", run, typical(run, CTQ_S)))).empty
