"""Fig 9B: its table, its words and its files."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from experiments.analysis import breakdown, output, panels, reference
from experiments.analysis.labels import ApproachLabel
from experiments.analysis.runs import Run, load
from experiments.errors import SpecError
from experiments.specs.load import approaches
from experiments.specs.model import DatasetSpec
from tests.analysis.synthetic_runs import (
    CTQ_S,
    LABELS,
    STANDALONE_S,
    Label,
    spec,
    two_approaches,
    typical,
    write_run,
)
from tests.analysis.words import check_words_fit, words

PAPER = reference.load()["9b"]


def loaded(folders: list[Path]) -> list[Run]:
    return [load(folder) for folder in folders]


def cell(table: Any, title: str, component: str, column: str) -> Any:
    row = table[(table["title"] == title) & (table["component"] == component)]
    assert len(row) == 1
    return row[column].iloc[0]


def test_ours_and_the_papers_stand_side_by_side(tmp_path: Path) -> None:
    table = breakdown.table(loaded(two_approaches(tmp_path)), LABELS, PAPER)
    ours = {key: value * 1.1 for key, value in CTQ_S.items()}
    total = sum(ours.values())
    assert cell(table, "CTQ", "train_valid", "ours_s") == pytest.approx(
        ours["train"] + ours["valid"]
    )
    assert cell(table, "CTQ", "total", "ours_s") == pytest.approx(total)
    assert cell(table, "CTQ", "approach_specific", "ours_share") == pytest.approx(
        ours["idle"] / total
    )
    assert cell(table, "CTQ", "initialization", "ours_s") == 3.0
    assert cell(table, "CTQ", "data_transmission", "paper_h") == 1.050104
    assert cell(table, "CTQ", "total", "paper_h") == pytest.approx(4.143125, abs=1e-5)
    assert cell(table, "CTQ", "total", "paper_share") == 1.0
    assert cell(table, "CTQ", "total", "runs") == "ctq-1"


def test_the_papers_standalone_bar_stands_beside_our_standalone(tmp_path: Path) -> None:
    table = breakdown.table(loaded(two_approaches(tmp_path)), LABELS, PAPER)
    assert cell(table, "Cerebro-Standalone", "total", "paper_row") == "Cerebro-Spark"
    assert "Cerebro-Spark" not in set(table["title"])


def test_order_is_the_labels_then_the_papers_remaining_rows(tmp_path: Path) -> None:
    labels = {"ctq": LABELS["ctq"], "cerebro-standalone": LABELS["cerebro-standalone"]}
    table = breakdown.table(loaded(two_approaches(tmp_path)), labels, PAPER)
    assert list(dict.fromkeys(table["title"])) == [
        "CTQ",
        "Cerebro-Standalone",
        "MA",
        "UDAF",
        "DA-Cerebro",
        "PyTDDP",
        "DA-PyTDDP",
    ]


def test_what_was_not_run_has_the_papers_side_only(tmp_path: Path) -> None:
    table = breakdown.table(loaded(two_approaches(tmp_path)), LABELS, PAPER)
    part = table[table["title"] == "UDAF"]
    assert part["ours_s"].isna().all()
    assert (part["seeds"] == 0).all()
    assert cell(table, "UDAF", "train_valid", "paper_h") == 2.889618
    assert cell(table, "UDAF", "model_transmission", "paper_imputed")
    assert not cell(table, "UDAF", "train_valid", "paper_imputed")


def test_an_approach_that_the_paper_lacks_has_our_side_only(tmp_path: Path) -> None:
    labels = {"ctq": Label("CTQ by us", None), "absent": Label("Absent", None)}
    runs = [load(write_run(tmp_path / "a", spec(), typical(spec(), CTQ_S)))]
    table = breakdown.table(runs, labels, PAPER)
    assert cell(table, "CTQ by us", "total", "ours_s") == pytest.approx(23.85)
    assert table[table["title"] == "CTQ by us"]["paper_h"].isna().all()
    assert "Absent" not in set(table["title"])
    assert "not in the paper's figure" in words(breakdown.figure(table, runs, PAPER))


def test_several_seeds_give_mean_and_interval(tmp_path: Path) -> None:
    table = breakdown.table(loaded(two_approaches(tmp_path, (1, 2, 4))), LABELS, PAPER)
    base = STANDALONE_S["idle"]
    idle = ("Cerebro-Standalone", "approach_specific")
    assert cell(table, *idle, "ours_low") == pytest.approx(base * 1.1)
    assert cell(table, *idle, "ours_high") == pytest.approx(base * 1.4)
    assert cell(table, *idle, "ours_s") == pytest.approx(base * (1.1 + 1.2 + 1.4) / 3)
    assert cell(table, *idle, "seeds") == 3
    assert cell(table, *idle, "runs").count(";") == 2
    part = table[table["title"] == "Cerebro-Standalone"].set_index("component")
    total = part.loc["total", "ours_share"]
    assert part["ours_share"].dropna().sum() - total == pytest.approx(1.0)


def test_an_approach_without_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="'cerebro-standalone' has no label"):
        breakdown.table(loaded(two_approaches(tmp_path)), {"ctq": LABELS["ctq"]}, PAPER)


def test_the_figure_says_what_it_shows(tmp_path: Path) -> None:
    runs = loaded(two_approaches(tmp_path, (1, 2)))
    text = words(breakdown.figure(breakdown.table(runs, LABELS, PAPER), runs, PAPER))
    for part in (
        "Fig 9B",
        "measured, smoke scale, W = 2",
        "Fashion-MNIST stands in for ImageNet",
        "2 seeds",
        "seconds per epoch, mean per worker",
        "hours per epoch, mean per worker",
        "Cerebro-Standalone †",
        "Shown beside Cerebro-Standalone.",
        "1.05*",
        "not run",
        "Whiskers",
    ):
        assert part in text


def test_the_figure_names_settings_that_only_one_approach_has(tmp_path: Path) -> None:
    runs = loaded(two_approaches(tmp_path))
    polling = replace(runs[0].spec, settings={"polling_seconds": 0.05})
    runs = [replace(runs[0], spec=polling), *runs[1:]]
    table = breakdown.table(runs, LABELS, PAPER)
    figure = breakdown.figure(table, runs, PAPER)
    check_words_fit(figure)
    title = LABELS[polling.approach].title
    assert f"{title} ran with polling seconds = 0.05." in words(figure)


def test_nothing_stands_in_when_the_data_set_is_the_papers(tmp_path: Path) -> None:
    run = spec(dataset=DatasetSpec("imagenet", 1281167, 50000), scale="paper")
    runs = [load(write_run(tmp_path / "a", run, typical(run, CTQ_S)))]
    text = words(breakdown.figure(breakdown.table(runs, LABELS, PAPER), runs, PAPER))
    assert "ImageNet · 1,281,167 training rows" in text
    assert "stands in" not in text
    assert "Whiskers" not in text


def test_no_two_words_overlap_and_none_leaves_the_page(tmp_path: Path) -> None:
    runs = loaded(two_approaches(tmp_path, (1, 2, 3)))
    labels: dict[str, ApproachLabel] = dict(approaches())
    labels["ctq"] = Label("An approach with a very long display name", "CTQ")
    figure = breakdown.figure(breakdown.table(runs, labels, PAPER), runs, PAPER)
    check_words_fit(figure)


def test_fig_9c_has_room_for_the_longest_data_set(tmp_path: Path) -> None:
    run = spec(experiment="e2e-criteo", dataset=DatasetSpec("criteo-synthetic-7306", 80000, 9000))
    runs = [load(write_run(tmp_path / "a", run, typical(run, CTQ_S)))]
    paper = reference.load()["9c"]
    figure = breakdown.figure(breakdown.table(runs, LABELS, paper), runs, paper)
    check_words_fit(figure)
    assert "Fig 9C" in words(figure)
    assert "Generated click log (7306 columns) stands in for Criteo" in words(figure)
    assert "0.0163 h should be 0.0817 h" in words(figure)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00001, "<0.0001"),
        (0.00184, "0.0018"),
        (0.0255, "0.0255"),
        (2.110903, "2.11"),
        (21.98, "22.0"),
        (1234.5, "1,234"),
    ],
)
def test_numbers_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert panels.number(value) == text


def test_the_summary_has_one_row_an_approach(tmp_path: Path) -> None:
    table = breakdown.table(loaded(two_approaches(tmp_path)), LABELS, PAPER)
    summary = breakdown.summary(table)
    assert summary.loc["CTQ", ("ours (s per epoch)", "total")] == "26.2"
    assert summary.loc["CTQ", ("paper (h per epoch)", "total")] == "4.14"
    assert set(summary.loc["MA", "ours (s per epoch)"]) == {"not run"}


def test_the_files_are_there_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    runs = loaded(two_approaches(tmp_path))
    table = breakdown.table(runs, LABELS, PAPER)
    written = [
        output.save(breakdown.figure(table, runs, PAPER), table, "9b", tmp_path / name)
        for name in ("one", "two")
    ]
    for first, second in zip(written[0].outputs, written[1].outputs, strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert written[0].pdf.read_bytes().startswith(b"%PDF")
    with Image.open(written[0].png) as picture:
        assert picture.width == 2400
        assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 100
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "9b.csv",
        "9b.pdf",
        "9b.png",
    ]


def test_the_csv_holds_the_table(tmp_path: Path) -> None:
    runs = loaded(two_approaches(tmp_path, (1, 2)))
    table = breakdown.table(runs, LABELS, PAPER)
    saved = output.save(breakdown.figure(table, runs, PAPER), table, "9b", tmp_path / "out")
    with saved.csv.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 7 * 6
    by_key = {(row["title"], row["component"]): row for row in rows}
    row = by_key["CTQ", "train_valid"]
    assert row["approach"] == "ctq"
    assert float(row["ours_s"]) == pytest.approx(19.5 * 1.15)
    assert float(row["ours_low"]) == pytest.approx(19.5 * 1.1)
    assert float(row["ours_high"]) == pytest.approx(19.5 * 1.2)
    assert float(row["paper_h"]) == 2.952326
    assert row["runs"] == "ctq-1;ctq-2"
    assert row["evidence"] == "measured"
    assert by_key["MA", "total"]["ours_s"] == ""
    assert by_key["MA", "total"]["approach"] == ""
