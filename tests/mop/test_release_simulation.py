"""The release's simulation, against what its notebook printed and the paper drew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments.analysis import reference
from experiments.mop.policy import RandomPolicy
from experiments.mop.release_simulation import (
    FIGURE_11A,
    FIGURE_16,
    Panel,
    Setting,
    _scan,
    _synchronous,
    another,
    panels,
)
from experiments.mop.simulate import Workload, makespan, simulate

PAPER = reference.load()
BOUNDS = PAPER["16-bounds"]


@pytest.fixture(scope="module")
def drawn() -> dict[str, Panel]:
    """Every panel of Figure 16, and Figure 11A."""
    return {**dict(zip("ABCDE", panels(FIGURE_16), strict=True)), "11A": next(panels(FIGURE_11A))}


def given(figure: str, row: str) -> dict[int, float]:
    """What the paper has of a row, by number of workers."""
    paper = PAPER[figure]
    values = zip(paper.columns, paper.rows[row], strict=True)
    return {int(workers): value for workers, value in values if value is not None}


@pytest.mark.parametrize("row", PAPER["16-makespans"].rows)
def test_makespans_of_figure_16_are_the_releases(drawn: dict[str, Panel], row: str) -> None:
    panel, approach = row.split()
    found = drawn[panel].synchronous if approach == "UDAF" else drawn[panel].asynchronous
    for workers, printed in given("16-makespans", row).items():
        assert found[workers - 1] == printed


@pytest.mark.parametrize("row", PAPER["16"].rows)
def test_the_papers_curves_are_these(drawn: dict[str, Panel], row: str) -> None:
    panel, kind = row.split()
    found = drawn[panel].speed_up if kind == "simulation" else drawn[panel].theory
    for workers, read_off in given("16", row).items():
        assert found[workers - 1] == pytest.approx(read_off, abs=0.0011)


@pytest.mark.parametrize("name", BOUNDS.rows)
def test_bounds_and_drawn_models_are_the_releases(drawn: dict[str, Panel], name: str) -> None:
    digits = 1e-5 if name == "11A" else 1e-6
    assert drawn[name].bound == pytest.approx(BOUNDS.value(name, "eta"), abs=digits)
    if (slow := BOUNDS.value(name, "slow")) is not None:
        assert drawn[name].slow_models == slow


def test_figure_11a_is_the_releases(drawn: dict[str, Panel]) -> None:
    panel = drawn["11A"]
    for figure, row, found, digits in (
        ("11a-makespans", "UDAF", panel.synchronous, 1e-4),
        ("11a-makespans", "CTQ", panel.asynchronous, 1e-4),
        ("11a", "simulation", panel.speed_up, 1e-5),
        ("11a", "theory", panel.theory, 1e-5),
    ):
        printed = given(figure, row)
        assert list(printed) == list(range(1, 9))
        assert found == pytest.approx(list(printed.values()), abs=digits)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("models", "workers"), [(1, 1), (3, 5), (8, 8), (20, 6)])
def test_it_is_the_random_policy_on_the_virtual_clock(seed: int, models: int, workers: int) -> None:
    seconds = np.where(np.random.default_rng(seed).random(models) < 0.5, 1.0, 20.0)
    policy = RandomPolicy(seed)
    order = policy.arrange(1, models, workers)
    pairs = np.array([unit.model * workers + unit.worker for unit in order])
    ran = simulate(RandomPolicy(seed), Workload.of(seconds, workers))
    assert _scan(pairs, seconds, workers) == makespan(ran)


def test_the_synchronous_makespan_is_the_rotations() -> None:
    seconds = np.array([1.0, 20.0, 1.0, 5.0])
    by_hand = sum(max(seconds[(turn - worker) % 4] for worker in range(3)) for turn in range(4))
    assert _synchronous(seconds, 3) == by_hand


def test_panels_depend_on_those_before_them() -> None:
    """As in the notebook: one pair of streams runs through a cell."""
    small = [Setting(8, 0.5, 20.0, 4), Setting(16, 0.5, 20.0, 4)]
    both = list(panels(small))
    (alone,) = panels(small[1:])
    assert both[1].synchronous.tolist() != alone.synchronous.tolist()
    (other,) = panels([replace(small[0], exact=True)], seed=1)
    assert other.slow_models == 4


@pytest.mark.parametrize(
    "setting", [Setting(40, 0.7, 20.0, 6), Setting(40, 0.8, 8.0, 6, exact=True)]
)
def test_another_draw_is_of_the_same_setting(setting: Setting) -> None:
    """Its streams are others; what is drawn and how it is scheduled is not."""
    counts = (1, 3, 6)
    draws = [another(setting, counts, seed) for seed in range(60)]
    theirs = [next(panels([setting], seed)) for seed in range(60)]
    at = [count - 1 for count in counts]
    for name in ("slow_models", "synchronous", "asynchronous", "speed_up"):
        ours = np.mean([getattr(each, name) for each in draws], axis=0)
        expected = np.array([getattr(each, name) for each in theirs])
        expected = expected if expected.ndim == 1 else expected[:, at]
        spread = expected.std(axis=0) + 0.01 * expected.mean(axis=0)
        assert (abs(ours - expected.mean(axis=0)) < 4 * spread / 60**0.5 * 2**0.5).all()
    assert another(setting, counts, 3).speed_up.tolist() == draws[3].speed_up.tolist()
