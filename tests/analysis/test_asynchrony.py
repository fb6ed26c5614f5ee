"""Figs 11 and 16: simulated lines, the paper's, and points of runs whose schedule is known."""

from __future__ import annotations

import pandas as pd
import pytest

from experiments.analysis import asynchrony, reference
from experiments.analysis.runs import Run
from experiments.errors import SpecError
from experiments.mop.simulate import makespan
from tests.analysis.scheduled_runs import emulated, run, schedule
from tests.analysis.words import check_words_fit, words

PAPERS = reference.load()


@pytest.fixture(scope="module")
def alone() -> pd.DataFrame:
    return asynchrony.figure_11_table([], PAPERS)


def runs_of(*points: tuple[str, int, int]) -> list[Run]:
    """Runs of (approach, workers, seed)."""
    specs = [emulated("heterogeneity", a, workers=w, seed=s) for a, w, s in points]
    return [run(spec, f"{spec.approach}-{n}", schedule(spec)) for n, spec in enumerate(specs)]


def series(table: pd.DataFrame, panel: str, name: str) -> pd.DataFrame:
    return table[(table["panel"] == panel) & (table["series"] == name)].set_index("workers")


def test_the_release_s_draw_lies_on_the_papers_line_and_mostly_in_the_band(
    alone: pd.DataFrame,
) -> None:
    for panel, most in (("11A", 8), ("11B", 32)):
        ours = series(alone, panel, "simulation")["speed_up"]
        assert list(ours.index) == list(range(1, most + 1))
        paper = series(alone, panel, "reference")["speed_up"]
        assert ours[paper.index].tolist() == pytest.approx(paper.tolist(), abs=0.0011)
        band = series(alone, panel, "band")
        inside = ours[band.index].between(band["low"] - 1e-9, band["high"] + 1e-9)
        assert inside.mean() >= 0.8
        assert (band["seeds"] == asynchrony.SEEDS).all()
    assert (alone["speed_up"] <= alone["high"]).all()
    assert set(alone["evidence"]) == {"theory", "simulated", "reference"}
    assert series(alone, "11A", "actual")["speed_up"].to_dict() == {
        2: 1.531456,
        4: 2.208525,
        6: 2.433745,
        8: 2.729005,
    }


def test_points_of_runs_are_udaf_over_ctq_with_the_same_seed() -> None:
    points = [(a, w, s) for a in ("ctq", "udaf") for w, s in ((2, 1), (2, 2), (4, 1))]
    runs = runs_of(*points, ("ctq", 4, 2), ("udaf", 8, 1))
    table = asynchrony.figure_11_table(runs, PAPERS)
    found = series(table, "11A", "emulated")
    ends = dict(zip(points, (makespan(schedule(each.spec)) for each in runs), strict=False))
    ups = {(w, s): ends["udaf", w, s] / ends["ctq", w, s] for a, w, s in points if a == "ctq"}
    assert list(found.index) == [2, 4]
    assert found.loc[4, "speed_up"] == pytest.approx(ups[4, 1], rel=1e-6)
    pair = (ups[2, 1], ups[2, 2])
    assert found.loc[2, "speed_up"] == pytest.approx(sum(pair) / 2, rel=1e-6)
    assert found.loc[2, ["low", "high"]].tolist() == pytest.approx([min(pair), max(pair)])
    assert found["seeds"].tolist() == [2, 1]
    assert (found["evidence"] == "emulated").all()
    figure = asynchrony.figure_11(table, runs, PAPERS, "smoke")
    check_words_fit(figure)
    assert "simulated and emulated, smoke scale" in words(figure)
    assert "A: emulated (p100, 80 times as fast), 10 models (the paper's: 48)" in words(figure)


def test_runs_of_two_experiments_are_refused() -> None:
    other = emulated("barriers", "ctq", workers=2)
    with pytest.raises(SpecError, match="they differ in experiment"):
        asynchrony.figure_11_table(
            [*runs_of(("udaf", 2, 1)), run(other, "other", schedule(other))], PAPERS
        )


def test_figure_11_without_runs_says_so(alone: pd.DataFrame) -> None:
    figure = asynchrony.figure_11(alone, [], PAPERS, "smoke")
    check_words_fit(figure)
    assert "panel A has no runs here" in words(figure)
    assert "emulated" not in words(figure)
    assert asynchrony.summary(alone).loc[("11A", "actual"), 8] == 2.729005


def test_figure_16_has_five_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asynchrony, "SEEDS", 3)
    table = asynchrony.figure_16_table(PAPERS)
    assert list(dict.fromkeys(table["panel"])) == [f"16{letter}" for letter in "ABCDE"]
    for panel, part in table.groupby("panel"):
        kinds = {"theory", "simulation", "band"}
        assert kinds <= set(part["series"])
        assert ("reference" in set(part["series"])) == (panel[-1] in "ACD")
    at_most = series(table, "16E", "simulation").loc[32, "speed_up"]
    assert 6.5 < at_most < 6.7  # the paper's "up to 6x"
    figure = asynchrony.figure_16(table, PAPERS)
    check_words_fit(figure)
    assert "bound 6.9" in words(figure)
