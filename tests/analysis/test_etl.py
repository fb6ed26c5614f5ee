"""Table 6, ETL: phases, what is absent, what was not recorded, and what the picture says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.analysis import durations, end_to_end, etl, etl_bars, output, reference
from experiments.analysis.runs import Run, load
from experiments.errors import SpecError
from experiments.specs.load import approaches
from experiments.telemetry.journal import Event
from tests.analysis import end_to_end_runs
from tests.analysis.synthetic_runs import SECOND
from tests.analysis.words import check_words_fit, words

PAPER = reference.load()
MEGABYTE = 10**6

SPANS: dict[str, list[tuple[str, int | None, float]]] = {
    "cerebro-standalone": [],
    "ctq": [("load", None, 2.0), ("load", None, 0.5), ("pack", None, 1.0)],
    "da-cerebro": [
        *(("load", None, 2.0), ("pack", None, 1.0)),
        *(("read", 0, 1.5), ("read", 1, 2.0), ("read", 0, 0.25)),
    ],
    "cerebro-spark-native": [("cast", 0, 3.0), ("cast", 1, 4.0)],
    "cerebro-spark": [
        *(("load", None, 2.0), ("export", None, 1.5), ("cast", None, 0.5), ("pack", None, 0.25)),
    ],
}
"""Phase, worker and seconds of each span of an ETL that took 7 s."""


def span(phase: str, worker: int | None, seconds: float, **changes: Any) -> Event:
    return replace(
        Event("span", "run", 0.0, 0, worker, phase=f"etl.{phase}", start_ns=0, bytes=MEGABYTE),
        **{"end_ns": round(seconds * SECOND), **changes},
    )


def runs_of(root: Path, *names: str, **options: Any) -> list[Run]:
    """Made-up runs of the approaches above, whose ETL is theirs."""
    made = []
    for name in names:
        for folder in end_to_end_runs.experiment(root, name, epochs=1, of=SPANS, **options):
            run = load(folder)
            others = (event for event in run.events if event.phase != "etl.load")
            slower = 1 + (run.spec.seed - 1) / 10
            spans = [span(p, w, slower * s) for p, w, s in SPANS[run.spec.approach]]
            made.append(replace(run, events=(*others, *spans)))
    return made


def cell(table: Any, approach: str, phase: str, column: str = "seconds") -> Any:
    row = table[(table["approach"] == approach) & (table["phase"] == phase)]
    assert len(row) == 1
    return row[column].iloc[0]


def test_phases_the_rest_and_the_total_are_those_of_table_6(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "e2e-imagenet")
    table = etl.table(runs, approaches(), PAPER)
    assert cell(table, "ctq", "load") == 2.5
    assert cell(table, "ctq", "load", "bytes") == 2 * MEGABYTE
    assert cell(table, "ctq", "rest") == 3.5
    assert math.isnan(cell(table, "ctq", "export"))
    six = end_to_end.table(runs, approaches(), PAPER)
    for run in runs:
        mine = six[six["approach"] == run.spec.approach]["etl_s"].iloc[0]
        assert cell(table, run.spec.approach, "total") == mine == 7.0
        assert sum(part.seconds for part in durations.etl_parts(run).values()) <= mine


def test_what_workers_do_at_once_takes_as_long_as_the_slowest(tmp_path: Path) -> None:
    table = etl.table(runs_of(tmp_path, "e2e-imagenet"), approaches(), PAPER)
    assert cell(table, "cerebro-spark-native", "cast") == 4.0
    assert cell(table, "da-cerebro", "read") == 2.0
    assert cell(table, "da-cerebro", "read", "bytes") == 3 * MEGABYTE


def test_what_is_read_again_in_an_epoch_is_no_etl(tmp_path: Path) -> None:
    (run,) = (r for r in runs_of(tmp_path, "e2e-imagenet") if r.spec.approach == "da-cerebro")
    again = replace(run, events=(*run.events, span("read", 1, 50.0, epoch=1)))
    assert durations.etl_parts(again) == durations.etl_parts(run)


def test_a_start_that_was_killed_counts_with_what_it_had_finished(tmp_path: Path) -> None:
    """It left no stage; the next start found the tables and took a moment only."""
    (run,) = (r for r in runs_of(tmp_path, "e2e-imagenet") if r.spec.approach == "ctq")
    events = tuple(
        replace(event, detail={**event.detail, "seconds": 0.25}) if event.kind == "stage" else event
        for event in run.events
    )
    resumed = replace(run, events=events, restarts=1)
    assert durations.etl(resumed) == 3.5
    table = etl.table([resumed], approaches(), PAPER)
    assert cell(table, "ctq", "rest") == 0.0
    figure = etl_bars.figure(table, [resumed], PAPER)
    assert "CTQ‡" in words(figure)
    assert "‡ Interrupted" in words(figure)


def test_the_papers_hours_stand_beside_ours(tmp_path: Path) -> None:
    table = etl.table(runs_of(tmp_path, "e2e-imagenet", "e2e-criteo"), approaches(), PAPER)
    paper = {
        (row.experiment, row.paper_row, row.phase): row.paper_h
        for row in table.itertuples()
        if not math.isnan(row.paper_h)
    }
    assert paper["e2e-imagenet", "DA-Cerebro", "total"] == 5.4
    assert paper["e2e-imagenet", "DA-Cerebro", "read"] == 2.6
    assert paper["e2e-criteo", "DA-Cerebro", "read"] == 1.9
    assert paper["e2e-imagenet", "PyTDDP", "total"] == 4.4
    assert {phase for _, _, phase in paper} == {"total", "read"}
    for name, dataset in (("e2e-imagenet", "imagenet"), ("e2e-criteo", "criteo")):
        packed = PAPER[f"table6-{dataset}"].value("CTQ", "etl_h")
        assert packed is not None
        both = packed + paper[name, "DA-Cerebro", "read"]
        assert paper[name, "DA-Cerebro", "total"] == pytest.approx(both)


def test_seeds_give_mean_and_interval(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "e2e-criteo", seeds=(1, 2, 3))
    table = etl.table(runs, approaches(), PAPER)
    spread = [cell(table, "ctq", "load", f"seconds{part}") for part in ("", "_low", "_high")]
    assert spread == pytest.approx([2.75, 2.5, 3.0])
    assert "Whiskers" in words(etl_bars.figure(table, runs, PAPER))


def test_an_approach_without_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="has no label"):
        etl.table(runs_of(tmp_path, "e2e-criteo"), {}, PAPER)


def test_the_picture_says_what_it_shows(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "e2e-imagenet", "e2e-criteo")
    blank = replace(runs[1], events=(*runs[1].events[:-1], span("pack", None, 1.0, bytes=0)))
    assert blank.spec.approach == "ctq"
    runs[1] = blank
    table = etl.table(runs, approaches(), PAPER)
    figure = etl_bars.figure(table, runs, PAPER)
    check_words_fit(figure)
    text = " ".join(words(figure).split())
    for part in (
        "Table 6, ETL · Bringing the data to where they train · measured, smoke scale, W = 2",
        "Fashion-MNIST, 3,200 rows",
        "Fashion-MNIST stands in for ImageNet; Generated click log (546 columns) stands in",
        "Paper: ImageNet, W = 8",
        "2.50 · 1.00 · – · – · – · 3.50",
        "– · – · – · 4.00 · – · 3.00",
        "– · – · – · – · – · 7.00",
        "load and pack 2.8 · read 2.6",
        "not run",
        "not in the paper's table",
        "paper: not told apart",
        "Bytes not recorded: CTQ, pack (Fashion-MNIST).",
        "9360 and 9500 s",
    ):
        assert part in text, part


def test_the_summary_and_the_files_hold_the_same_numbers(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "e2e-imagenet")
    table = etl.table(runs, approaches(), PAPER)
    row = etl.summary(table).loc["Fashion-MNIST", "DA-Cerebro"]
    assert row["seconds", "read"] == "2.00"
    assert row["bytes", "read"] == "3.00 MB"
    assert row["seconds", "export"] == row["bytes", "export"] == "–"
    assert (row["paper (h)", "read"], row["paper (h)", "total"]) == ("2.6", "5.4")
    assert etl.summary(table).loc["Fashion-MNIST", "MA"]["seconds", "load"] == "not run"
    figure = etl_bars.figure(table, runs, PAPER)
    files = [output.save(figure, table, "table6-etl", tmp_path / name) for name in ("one", "two")]
    for first, second in zip(files[0].outputs, files[1].outputs, strict=True):
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "not recorded"), (12.0, "12.0 B"), (94_357_915.0, "94.4 MB"), (4e16, "40,000 TB")],
)
def test_bytes_in_words(value: float, text: str) -> None:
    assert etl.size(value) == text
