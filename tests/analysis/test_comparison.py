"""Figure 2 and Table 3: what is measured, what is judged, and who is on the frontier."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from experiments.analysis import comparison, figure2, output, reference, storage, table3
from experiments.analysis.figure2 import Point, frontier
from experiments.analysis.runs import Run, load
from experiments.paths import RunFolder
from experiments.specs import judgements, loc
from experiments.specs.load import approaches
from experiments.telemetry.journal import Journal, Span
from tests.analysis import end_to_end_runs
from tests.analysis.synthetic_runs import retime
from tests.analysis.words import check_words_fit, words

OF = ("cerebro-standalone", "ctq", "udaf", "ma", "da-cerebro", "cerebro-spark")
SECONDS = {"cerebro-standalone": 1.0, "ctq": 2.0, "udaf": 3.0, "ma": 4.0, "da-cerebro": 1.5}


def etl(run: Run, moved: Iterable[tuple[str, int | None, int, str]]) -> None:
    """Write what an ETL moved, as a second start of the run."""
    with Journal(RunFolder(run.folder).journal, run.name) as journal:
        for phase, worker, size, split in moved:
            span = Span(f"etl.{phase}", 0, 1, size)
            if split:
                journal.append("span", span=span, worker=worker, split=split)
            else:
                journal.append("span", span=span, worker=worker)


def in_database(rows: int) -> list[tuple[str, int | None, int, str]]:
    return [
        (phase, None, size, split)
        for split, size in (("train", 2 * rows), ("valid", rows))
        for phase in ("load", "pack")
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Both experiments: 3000 bytes loaded and packed; or exported, cast and packed outside."""
    root = tmp_path_factory.mktemp("runs")
    found = []
    for name in ("e2e-imagenet", "e2e-criteo"):
        for folder in end_to_end_runs.experiment(root, name, epochs=2, of=OF):
            run = load(folder)
            approach = run.spec.approach
            if approach in {"ctq", "udaf", "ma", "da-cerebro"}:
                etl(run, in_database(1000))
            if approach == "cerebro-spark":
                loaded = [each for each in in_database(1000) if each[0] == "load"]
                files = [("export", None, 2000, ""), ("export", None, 1000, "")]
                etl(run, [*loaded, *files, ("cast", None, 1500, ""), ("pack", None, 3000, "")])
            if approach == "da-cerebro":
                with Journal(RunFolder(folder).journal, run.name) as journal:
                    for worker in (0, 1):
                        journal.append("shard_read", worker=worker, held_bytes=1500)
            found.append(retime(load(folder), SECONDS.get(approach, 8.0)))
    return found


@pytest.fixture(scope="module")
def compared(runs: list[Run]) -> pd.DataFrame:
    return comparison.table(runs, approaches(), reference.load(), loc.load(), judgements.load())


def values(compared: pd.DataFrame, axis: str, evidence: str = "measured") -> dict[str, float]:
    of = compared[(compared["axis"] == axis) & (compared["evidence"] == evidence)]
    of = of[of["experiment"].isin(["e2e-imagenet", ""])]
    return dict(zip(of["approach"], of["value"], strict=True))


def test_what_an_etl_stores(runs: list[Run]) -> None:
    found = {run.spec.approach: storage.stored(run) for run in runs}
    assert found["ctq"] == storage.Stored(loaded=3000, packed=3000, outside=0, held=0)
    assert found["da-cerebro"] == storage.Stored(loaded=3000, packed=3000, outside=0, held=3000)
    assert found["cerebro-spark"] == storage.Stored(
        loaded=3000, packed=0, outside=3000 + 1500 + 3000, held=0
    )
    assert storage.original(runs) == 3000
    assert (
        storage.original([run for run in runs if run.spec.approach == "cerebro-standalone"]) is None
    )


def test_what_was_done_twice_counts_once(tmp_path: Path) -> None:
    (folder,) = end_to_end_runs.experiment(tmp_path, "e2e-imagenet", epochs=1, of=("ctq",))
    run = load(folder)
    for _ in range(2):
        with Journal(RunFolder(folder).journal, run.name) as journal:
            journal.append("run_started")
        etl(run, in_database(1000))
    assert storage.stored(load(folder)).loaded == 3000


def test_efficiency_and_storage_are_measured(compared: pd.DataFrame) -> None:
    efficiency = values(compared, "efficiency")
    assert efficiency["cerebro-standalone"] == 1.0
    assert efficiency["ctq"] == pytest.approx(0.5)
    assert efficiency["ma"] == pytest.approx(0.25)
    stored = values(compared, "storage")
    assert stored["cerebro-spark"] == pytest.approx(1 + 7500 / 3000)
    assert stored["cerebro-standalone"] == stored["udaf"] == 1.0
    assert values(compared, "packed")["udaf"] == 1.0
    assert values(compared, "held") == {"da-cerebro": 1.0}
    assert values(compared, "lines")["ctq"] > values(compared, "own_lines")["ctq"] > 0


def test_judgements_are_called_so_and_have_reasons(compared: pd.DataFrame) -> None:
    judged = compared[compared["evidence"] == "judgement"]
    assert set(judged["axis"]) == {*comparison.JUDGED}
    assert judged["reason"].str.len().min() > 20
    assert values(compared, "governance", "judgement")["ma"] == 3.0
    of = judged[judged["axis"] == "anti_patterns"]
    assert set(of["approach"]) == {"ctq", "udaf", "ma", "da-cerebro"}
    measured = compared[compared["evidence"] == "measured"]
    assert not set(measured["axis"]) & {*comparison.JUDGED}


def test_the_papers_words_stand_beside(compared: pd.DataFrame) -> None:
    paper = compared[compared["evidence"] == "paper"].set_index(["approach", "axis"])["words"]
    assert paper["ctq", "governance"] == "High–Highest"
    assert paper["da-cerebro", "difficulty"] == "Hard"
    assert paper["cerebro-spark", "storage"] == "2×"
    assert ("cerebro-spark", "anti_patterns") not in paper.index
    assert "ma" not in set(paper.index.get_level_values("approach"))
    shown = table3.summary(compared)
    row = shown[(shown["approach"] == "UDAF") & (shown["axis"] == "governance")].iloc[0]
    assert (row["judgement"], row["paper's"]) == ("Highest", "Highest")


def points(*found: tuple[str, float, float]) -> list[Point]:
    return [Point(name, value, value, value, level) for name, value, level in found]


def test_the_frontier_is_whoever_nobody_dominates() -> None:
    assert frontier(points(("a", 1, 3), ("b", 3, 3), ("c", 6, 2), ("d", 5, 1))) == {"b", "c"}
    assert frontier(points(("a", 1, 1), ("b", 1, 1))) == {"a", "b"}
    assert frontier([]) == frozenset()


def test_on_the_papers_own_points_ma_alone_is_dominated() -> None:
    """Claim 50."""
    paper = reference.load()["2"]
    of = points(
        *((row, first or 0.0, second or 0.0) for row, (first, second) in paper.rows.items())
    )
    assert {*paper.rows} - frontier(of) == {"MA"}


def test_figure_2_shows_what_is_judged(runs: list[Run], compared: pd.DataFrame) -> None:
    paper = reference.load()["2"]
    table = figure2.table(compared, approaches(), paper)
    ours = table[table["experiment"] == "e2e-imagenet"]
    best = set(ours[ours["frontier"]]["approach"])
    assert best == {"cerebro-standalone", "da-cerebro", "udaf"}
    assert set(ours["evidence"]) == {"measured", "judgement"}
    assert set(table[table["experiment"] == ""]["evidence"]) == {"paper"}
    axis = judgements.load().axes["governance"]
    figure = figure2.figure(table, runs, approaches(), axis, paper)
    check_words_fit(figure)
    said = words(figure)
    assert "ease of data governance (judgement)" in said
    assert "efficiency: fastest time / time (measured)" in said
    assert "efficiency (judgement)" in said
    hollow = [
        line
        for axes in figure.axes[:2]
        for line in axes.lines
        if line.get_marker() not in {"None", "x", ""}
    ]
    assert len(hollow) == 2 * len(OF)
    assert {line.get_markerfacecolor() for line in hollow} == {"white"}


def test_table_3_marks_every_judgement(runs: list[Run], compared: pd.DataFrame) -> None:
    figure = table3.figure(compared, runs, reference.load())
    check_words_fit(figure)
    said = words(figure)
    judged = compared[compared["evidence"] == "judgement"]
    assert said.count(f"{table3.JUDGED_MARK} ") == len(judged) + 1  # the legend
    assert "Table 3 · Approaches on six axes · measured, smoke scale" in said


def test_both_are_written(runs: list[Run], compared: pd.DataFrame, tmp_path: Path) -> None:
    files = output.save(
        table3.figure(compared, runs, reference.load()), compared, "table3", tmp_path
    )
    read = pd.read_csv(files.csv)
    assert set(read["evidence"]) == {"measured", "judgement", "paper"}


def test_an_experiment_that_nobody_loaded_has_no_storage(runs: list[Run]) -> None:
    alone = [run for run in runs if run.spec.approach == "cerebro-standalone"]
    found = comparison.table(alone, approaches(), reference.load(), loc.load(), judgements.load())
    assert set(found["evidence"]) == {
        "measured",
        "judgement",
    }  # the paper's row is another system's
    assert "storage" not in set(found["axis"])
    check_words_fit(table3.figure(found, alone, reference.load()))


def test_every_approach_of_the_experiments_is_judged() -> None:
    judged = judgements.load()
    for row in approaches().values():
        if {"e2e-imagenet", "e2e-criteo"} & {*row.experiments}:
            for axis in ("governance", "difficulty", "portability"):
                assert judged.get(row.id, axis) is not None, (row.id, axis)
    assert {*judged.of} <= {*approaches()}


def test_the_papers_levels_are_places_in_our_lists() -> None:
    paper, axes = reference.load()["table3"], judgements.load().axes
    for axis in set(paper.columns) & set(axes):
        for row in paper.rows:
            value = paper.value(row, axis)
            assert value is None or axes[axis].words(value)
        assert paper.units[axis] == f"place among {', '.join(axes[axis].levels)}, from 0"
    assert json.loads(json.dumps(paper.rows["CTQ"])) == [2, 2.5, 1, 1, 1, 1]
