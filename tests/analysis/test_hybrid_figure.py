"""The figure of hopping before averaging, from made-up runs with known errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.analysis import hybrid, reference
from experiments.analysis.runs import Run, load
from experiments.errors import DataError
from tests.analysis.synthetic_runs import spec, write_run

EPOCHS = 3
LAST = {0: 0.6, 1: 0.3, 3: 0.4}
"""Error of the better of two models after the last epoch, by epochs of hopping."""


def runs(root: Path) -> list[Run]:
    found = []
    for hops, last in LAST.items():

        def measured(model: int, epoch: int, last: float = last) -> dict[str, Any]:
            error = last + 0.1 * (EPOCHS - epoch) + 0.05 * (1 - model)
            return {"loss": 1.0, "top1_error": error, "top5_error": 0.0}

        own = spec(approach="ma", epochs=EPOCHS, settings={"hop_epochs": hops})
        found.append(load(write_run(root / str(hops), own, [], measures=measured)))
    return found


def test_errors_of_the_best_model_by_epoch_and_switch(tmp_path: Path) -> None:
    table = hybrid.table(runs(tmp_path), reference.load()["hybrid"])
    ours = table[table["evidence"] == "measured"]
    last = ours[ours["epoch"] == EPOCHS].set_index("hop_epochs")["value"]
    assert last.to_dict() == pytest.approx(LAST)
    assert set(ours["config"]) == {"resnet-tiny-b32-lr0.0001-reg0.0001"}
    first = ours[(ours["hop_epochs"] == 1) & (ours["epoch"] == 1)]
    assert first["value"].item() == pytest.approx(0.5)
    theirs = table[table["evidence"] == "reference"].set_index("hop_epochs")["value"]
    assert (theirs[0], theirs[1], theirs[10]) == (0.469, 0.395, 0.328)


def test_the_figure_says_whether_a_switch_pays(tmp_path: Path) -> None:
    every, paper = runs(tmp_path), reference.load()["hybrid"]
    figure = hybrid.figure(hybrid.table(every, paper), every, paper)
    words = " ".join(text.get_text() for text in figure.texts)
    assert "Here (measured): the best switch is after 1 epoch (0.3), better than hopping" in words
    assert "The release: the best switch is after 7 epochs (0.281), better than hopping" in words
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "epoch",
        *["epochs of hopping before averaging"] * 2,
    ]


def test_a_journal_without_an_evaluation_is_named(tmp_path: Path) -> None:
    every = runs(tmp_path)
    lacking = every[0].events[:-4]
    every[0] = Run(**{**vars(every[0]), "events": lacking})
    with pytest.raises(DataError, match="the journal lacks an evaluation"):
        hybrid.table(every, reference.load()["hybrid"])
