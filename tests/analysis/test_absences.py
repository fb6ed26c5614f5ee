"""A figure says which approach was left out at its scale, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from experiments.analysis import breakdown, curves, end_to_end, learning, reference, table6
from experiments.analysis.runs import Run, load
from experiments.specs.load import approaches, left_out
from tests.analysis import end_to_end_runs
from tests.analysis.words import check_words_fit, words

PAPER = reference.load()


def fig_9a(runs: Sequence[Run], scale: str) -> Figure:
    table = curves.table(runs, approaches(), PAPER["9a"])
    return learning.figure(table, approaches(), PAPER["9a"], scale)


def fig_9c(runs: Sequence[Run], scale: str) -> Figure:
    return breakdown.figure(breakdown.table(runs, approaches(), PAPER["9c"]), runs, PAPER["9c"])


def table_6(runs: Sequence[Run], scale: str) -> Figure:
    return table6.figure(end_to_end.table(runs, approaches(), PAPER), runs, PAPER)


@pytest.mark.parametrize("draw", [fig_9a, fig_9c, table_6])
def test_a_figure_gives_the_reason_at_that_scale_only(
    tmp_path: Path, draw: Callable[[Sequence[Run], str], Figure]
) -> None:
    said = {}
    for scale in ("laptop", "paper"):
        folders = end_to_end_runs.experiment(tmp_path / scale, "e2e-criteo", epochs=1, scale=scale)
        figure = draw([load(folder) for folder in folders], scale)
        check_words_fit(figure)
        said[scale] = " ".join(words(figure).split())
    absent = left_out("e2e-criteo", "paper")
    assert absent
    for each in absent:
        title = approaches()[each.approach].title
        note = f"{title} was not run in e2e-criteo at paper scale: {each.reason}."
        assert note in said["paper"]
        assert note not in said["laptop"]
