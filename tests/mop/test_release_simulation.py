"""The release's simulation, against what its notebook printed and the paper drew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.mop.policy import RandomPolicy
from experiments.mop.release_simulation import (
    FIGURE_11A,
    FIGURE_16,
    Panel,
    Setting,
    _scan,
    _synchronous,
    panels,
)
from experiments.mop.simulate import Workload, makespan, simulate

REFERENCE = json.loads((Path(__file__).parent / "release_simulation.json").read_text())


@pytest.fixture(scope="module")
def figure_16() -> dict[str, Panel]:
    return dict(zip("ABCDE", panels(FIGURE_16), strict=True))


@pytest.mark.parametrize("name", list(REFERENCE["figure_16"]))
def test_figure_16_is_the_releases(figure_16: dict[str, Panel], name: str) -> None:
    panel, printed = figure_16[name], REFERENCE["figure_16"][name]
    at = np.array(REFERENCE["workers"]) - 1
    assert panel.bound == pytest.approx(printed["eta"], abs=1e-6)
    if "udaf" in printed:
        assert panel.slow_models == printed["slow"]
        assert panel.synchronous[at].tolist() == printed["udaf"]
        assert panel.asynchronous[at].tolist() == printed["ctq"]


@pytest.mark.parametrize("name", list(REFERENCE["drawn"]))
def test_the_papers_curves_are_these(figure_16: dict[str, Panel], name: str) -> None:
    drawn = REFERENCE["drawn"][name]
    panel = figure_16[name]
    for kind, found in (("simulation", panel.speed_up), ("theory", panel.theory)):
        if kind in drawn:
            values = drawn[kind]
            assert found[: len(values)] == pytest.approx(values, abs=0.0011)


def test_figure_11a_is_the_releases() -> None:
    (panel,) = panels(FIGURE_11A)
    printed = REFERENCE["figure_11a"]
    assert panel.slow_models == 10
    assert panel.synchronous == pytest.approx(printed["udaf"], abs=1e-4)
    assert panel.asynchronous == pytest.approx(printed["ctq"], abs=1e-4)
    assert panel.speed_up == pytest.approx(printed["sim"], abs=1e-5)
    assert panel.theory == pytest.approx(printed["theory"], abs=1e-5)
    assert panel.bound == pytest.approx(printed["eta"], abs=1e-5)


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
