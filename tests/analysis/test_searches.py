"""Fig 12, Table 7 and the overhead of units: numbers from made-up journals with known times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.analysis import fig12, output, overhead, reference, searches, table7
from experiments.analysis.runs import Run, load
from experiments.errors import SpecError
from experiments.paths import RunFolder
from experiments.specs.load import approaches, protocols, run_spec
from experiments.specs.model import RunSpec
from experiments.telemetry.journal import Event, Journal, Span, read
from tests.analysis.synthetic_runs import SECOND, spec, write_result
from tests.analysis.words import check_words_fit, words

PAPER = reference.load()
RATES = (1e-3, 1e-2, 1e-1)


def write(
    folder: Path, run: RunSpec, *, rates: Sequence[float] = RATES, interrupted: bool = False
) -> Run:
    """Three configurations, two epochs each; the last diverges. An event comes every second."""
    names = RunFolder(folder)
    folder.mkdir(parents=True)
    names.run.write_text("{}")
    with Journal(names.journal, folder.name) as journal:
        journal.append("run_started")
        journal.append("stage", name="etl", seconds=7.0)
        for model, rate in enumerate(rates):
            config = {
                "architecture": "resnet18-tiny",
                "learning_rate": rate,
                "regularization": 1e-4,
                "batch_size": 32,
            }
            assignment = {"model": model, "config": config, "start": 0, "stop": 2}
            journal.append("asked", assignments=[assignment], told=model, seconds=0.01)
            for epoch in (1, 2):
                journal.append("epoch_started", model=model, epoch=epoch)
                error: Any = "nan" if model == 2 else 0.9 - 0.2 * model - 0.1 * epoch
                measures = {"loss": error, "top1_error": error, "top5_error": 0.0}
                journal.append("evaluated", model=model, epoch=epoch, split="valid", **measures)
                journal.append("epoch_finished", model=model, epoch=epoch)
                if interrupted and (model, epoch) == (1, 1):
                    journal.append("run_started", resumed=True)
            journal.append("told", model=model, epoch=2, loss=error, seconds=0.02)
        journal.append("run_finished")
    write_result(folder, run)
    loaded = load(folder)
    events = (replace(e, mono_ns=number * SECOND) for number, e in enumerate(loaded.events))
    return replace(loaded, events=tuple(events))


def search(approach: str, protocol: str = "equal", seed: int = 1) -> RunSpec:
    searched = run_spec("search", approach, "smoke", seed=seed)
    return replace(searched, protocol=protocols()[protocol])


def two(root: Path, **options: Any) -> list[Run]:
    return [write(root / name, search(name), **options) for name in ("cerebro-standalone", "ctq")]


def test_every_evaluation_has_its_time_and_the_best_until_then(tmp_path: Path) -> None:
    table = searches.table(two(tmp_path), approaches(), PAPER)
    ours = table[(table["source"] == "here") & (table["approach"] == "ctq")]
    assert list(ours["model"]) == [0, 0, 1, 1, 2, 2]
    # events 3 to 8 are model 0's epochs: started, evaluated, finished; then told and asked
    assert list(ours["seconds"]) == [1, 4, 9, 12, 17, 20]
    assert list(ours["value"][:4]) == pytest.approx([0.8, 0.7, 0.6, 0.5])
    assert list(ours["best_so_far"]) == pytest.approx([0.8, 0.7, 0.6, 0.5, 0.5, 0.5])
    assert list(ours["diverged"]) == [False] * 4 + [True] * 2
    assert ours["config"].iloc[0] == "resnet18-tiny-b32-lr0.001-reg0.0001"
    assert ours["search_seconds"].iloc[0] == pytest.approx(0.09)


def test_time_stands_still_while_a_run_lies_dead(tmp_path: Path) -> None:
    run = write(tmp_path / "ctq", search("ctq"), interrupted=True)
    dead = next(i for i, e in enumerate(run.events) if e.kind == "run_started" and i)

    def later(number: int, event: Event) -> Event:
        return replace(event, mono_ns=event.mono_ns + 100 * SECOND * (number >= dead))

    events = tuple(later(number, event) for number, event in enumerate(run.events))
    found = [searches.table([r], approaches(), PAPER) for r in (run, replace(run, events=events))]
    seconds = [list(table[table["source"] == "here"]["seconds"]) for table in found]
    assert seconds[0] == seconds[1]
    assert found[0][found[0]["source"] == "here"]["interrupted"].all()


def test_the_papers_curves_stand_beside_ours(tmp_path: Path) -> None:
    table = searches.table(two(tmp_path), approaches(), PAPER)
    theirs = table[(table["source"] == "paper") & (table["approach"] == "ctq")]
    assert theirs["model"].nunique() == 32
    assert len(theirs) == 320
    assert theirs["seconds"].max() / 3600 == pytest.approx(91.4, abs=0.1)
    assert theirs["value"].min() == pytest.approx(0.305, abs=5e-4)
    assert set(table.loc[table["source"] == "paper", "paper_row"]) == set(PAPER["table7"].rows)


def test_the_paper_curves_end_where_its_table_says() -> None:
    curves, totals = PAPER["12"], PAPER["table7"]
    for row in totals.rows:
        of = [name for name in curves.rows if name.rpartition(" ")[0] == row]
        assert len(of) == 32
        last = max(float(curves.value(name, "h10") or 0) for name in of)
        best = min(float(curves.value(name, "e10") or 1) for name in of)
        assert totals.value(row, "total_h") == pytest.approx(last, abs=0.06)
        assert totals.value(row, "best_error") == pytest.approx(best, abs=6e-4)


def test_totals_are_of_the_last_evaluation(tmp_path: Path) -> None:
    runs = two(tmp_path)
    totals = searches.totals(
        searches.table(runs, approaches(), PAPER), approaches(), PAPER, runs
    ).set_index("title")
    assert totals.loc["CTQ", "total_s"] == 20
    assert totals.loc["CTQ", "best_error"] == pytest.approx(0.5)
    assert totals.loc["CTQ", "search_share"] == pytest.approx(0.09 / 20)
    assert totals.loc["CTQ", "paper_total_h"] == 91.4
    assert totals.loc["UDAF", "seeds"] == 0
    assert math.isnan(totals.loc["UDAF", "total_s"])
    assert "MA" not in totals.index


def test_approaches_that_were_given_different_work_are_refused(tmp_path: Path) -> None:
    runs = two(tmp_path)
    other = write(tmp_path / "other", search("udaf"), rates=(1e-3, 1e-2, 1e-4))
    with pytest.raises(SpecError, match="given different configurations although their protocol"):
        searches.table([*runs, other], approaches(), PAPER)
    own = [
        write(tmp_path / f"own-{name}", search(name, "own-feedback"), rates=rates)
        for name, rates in (("ctq", RATES), ("udaf", RATES[::-1]))
    ]
    assert len(searches.table(own, approaches(), PAPER))


def test_a_grid_is_no_search(tmp_path: Path) -> None:
    run = replace(write(tmp_path / "ctq", search("ctq")), spec=spec())
    with pytest.raises(SpecError, match="trains a fixed grid"):
        searches.table([run], approaches(), PAPER)


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_the_pictures_say_what_they_show(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    runs = [
        write(tmp_path / f"{name}-{seed}", search(name, seed=seed))
        for name in ("cerebro-standalone", "ma", "pytorch-ddp")
        for seed in seeds
    ]
    table = searches.table(runs, approaches(), PAPER)
    drawn = fig12.figure(table, runs, approaches(), PAPER)
    said = words(drawn)
    assert "Fig 12 · Hyperparameter search · measured, smoke scale, W = 2" in said
    assert "Fashion-MNIST stands in for ImageNet" in said
    assert "TPE, 4 configurations in batches of 2" in said
    assert "All approaches here train the same configurations" in said
    assert "not run" in said
    assert "not in the paper's figure" in said
    assert "polling" not in said
    check_words_fit(drawn)
    totals = searches.totals(table, approaches(), PAPER, runs)
    picture = table7.figure(totals, runs, PAPER)
    assert "not recorded" in words(picture)
    check_words_fit(picture)
    assert table7.summary(totals).loc["MA", ("total", "here (s)")] == "20.0"
    files = [output.save(drawn, table, "12", tmp_path / where) for where in ("a", "b")]
    assert files[0].png.read_bytes() == files[1].png.read_bytes()


def test_what_the_package_was_told_is_said(tmp_path: Path) -> None:
    runs = [*two(tmp_path), write(tmp_path / "package", search("cerebro-spark"))]
    table = searches.table(runs, approaches(), PAPER)
    totals = searches.totals(table, approaches(), PAPER, runs)
    for drawn in (
        fig12.figure(table, runs, approaches(), PAPER),
        table7.figure(totals, runs, PAPER),
    ):
        told = " ".join(words(drawn).split())
        assert "Cerebro-Spark (cerebro-dl 1.1.1) ran with polling seconds = 0.05." in told
        check_words_fit(drawn)


def test_who_takes_far_longer_has_a_time_axis_of_its_own(tmp_path: Path) -> None:
    runs = [
        write(tmp_path / name, search(name)) for name in ("cerebro-standalone", "ctq", "udaf", "ma")
    ]
    table = searches.table(runs, approaches(), PAPER)
    assert "longer time axis" not in words(fig12.figure(table, runs, approaches(), PAPER))
    table.loc[(table["approach"] == "ma") & (table["source"] == "here"), "seconds"] *= 10
    drawn = fig12.figure(table, runs, approaches(), PAPER)
    assert words(drawn).count("longer time axis") == 1
    limits = {axes.get_title("left"): axes.get_xlim()[1] for axes in drawn.axes}
    ours = {title: limit for title, limit in limits.items() if "here" in title}
    assert ours.pop("MA: here (measured) · longer time axis") == pytest.approx(206)
    assert ours["UDAF: here (measured)"] == pytest.approx(20.6)


def unit(journal: Journal, model: int, worker: int, kind: str, **seconds: float) -> None:
    keys: dict[str, Any] = {"worker": worker, "model": model, "partition": worker, "epoch": 1}
    took = seconds.pop("took")
    for phase, length in seconds.items():
        journal.span(Span(phase, 0, round(length * SECOND)), **keys)
    journal.append("unit_finished", **keys, kind=kind, seconds=took)


def test_overhead_is_what_neither_trains_nor_waits(tmp_path: Path) -> None:
    run = write(tmp_path / "ctq", search("ctq"))
    path = tmp_path / "units.jsonl"
    with Journal(path, "units") as journal:
        for model, worker in ((0, 0), (1, 1)):
            keys: dict[str, Any] = {
                "worker": worker,
                "model": model,
                "partition": worker,
                "epoch": 1,
            }
            journal.append("unit_started", **keys, kind="train")
        times = {"data_transmission": 0.25, "model_transmission": 0.5}
        unit(journal, 0, 0, "train", train=2.0, **times, took=3.0)
        unit(journal, 1, 1, "train", train=1.0, **times, took=3.0)
        journal.append("unit_started", worker=0, model=0, partition=0, epoch=1, kind="valid")
        unit(journal, 0, 0, "valid", valid=1.0, **times, took=9.0)
    events = tuple(read(path))
    table = overhead.table([replace(run, events=events)], approaches())
    (row,) = table.to_dict("records")
    assert (row["title"], row["units"]) == ("CTQ", 2)
    assert row["train"] == pytest.approx(1.5)
    assert row["data_transmission"] == pytest.approx(0.25)
    assert row["model_transmission"] == pytest.approx(0.5)
    assert row["dispatch"] == pytest.approx(0.25)  # the first's; the second waited for it
    assert row["overhead"] == pytest.approx(1.0)
    picture = overhead.figure(table, [run])
    check_words_fit(picture)
    assert "1,000" in words(picture)
    assert overhead.summary(table).loc["CTQ", "dispatch (ms)"] == "250"
