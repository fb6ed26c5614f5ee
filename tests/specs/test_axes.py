"""Experiments whose runs differ in more than the approach; figures without runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.approaches.base import inability
from experiments.runner.plan import plan
from experiments.specs.load import approaches_of, axes, grid, protocols


def _points(*arguments: str, **options: int | str) -> set[tuple[str, int, str, int]]:
    runs = plan(list(arguments[:1]), arguments[1], **options)  # type: ignore[arg-type]
    return {(r.spec.approach, r.spec.workers, r.spec.policy, r.spec.seed) for r in runs}


def test_every_number_of_workers_policy_and_seed_is_a_run() -> None:
    found = _points("scheduler-gap", "laptop")
    policies, seeds = ("random", "longest_first", "matching"), range(2018, 2028)
    assert found == {("ctq", 8, policy, seed) for policy in policies for seed in seeds}
    assert {workers for _, workers, _, _ in _points("scalability", "laptop")} == {1, 2, 4, 8}


def test_a_policy_of_its_own_comes_first() -> None:
    found = _points("stragglers", "smoke")
    assert found == {("ctq", 3, "random", 2018), ("udaf", 3, "round_robin", 2018)}


def test_the_command_line_comes_before_the_table() -> None:
    found = _points("scheduler-gap", "laptop", workers=2, policy="round_robin", seed=1)
    assert {point[1:3] for point in found} == {(2, "round_robin")}
    assert {seed for *_, seed in found} == set(range(1, 11))
    assert len(_points("stragglers", "smoke", repeat=3)) == 6


def test_names_tell_policies_apart() -> None:
    names = [run.name for run in plan(["scheduler-gap"], "laptop")]
    assert len(set(names)) == 30
    for policy in ("longest_first", "matching"):
        assert sum(policy in name for name in names) == 10
    assert not any("random" in name for name in names)  # the experiment's own


def test_a_grid_may_be_several_with_copies() -> None:
    full = grid("heterogeneity", "laptop", small=False)
    kinds = [(config.architecture, config.batch_size) for config in full]
    assert kinds.count(("mobilenetv2", 128)) == 38
    assert kinds.count(("nasnetmobile", 4)) == 10
    assert len(grid("heterogeneity", "smoke")) == 10


def test_no_experiment_is_no_run() -> None:
    assert plan([], "smoke") == []


@pytest.mark.parametrize("scale", ["smoke", "laptop"])
def test_an_experiment_has_one_number_of_workers_unless_it_says_so(scale: str) -> None:
    assert axes("breakdown", scale).workers == ({"smoke": 2, "laptop": 4}[scale],)
    assert axes("breakdown", scale).policies == (None,)


def test_an_experiment_about_protocols_has_its_own() -> None:
    for asked in ("equal", "paper"):
        runs = plan(["two-times"], "smoke", protocol=asked)
        inside = [str(run.spec.protocol) for run in runs if run.spec.approach == "ctq"]
        assert (inside[0], inside[-1], len(set(inside))) == ("equal", "paper", 6)
        outside = {str(run.spec.protocol) for run in runs if run.spec.approach == "da-cerebro"}
        assert outside == {"equal", "paper"}


def test_settings_are_runs_and_in_their_names() -> None:
    runs = plan(["hybrid"], "smoke")
    told = [run.spec.settings["hop_epochs"] for run in runs]
    assert told == [0, 1, 3, 6]
    assert all(f"-hop-epochs-{hops}-" in run.name for hops, run in zip(told, runs, strict=True))


def test_a_package_is_left_out_of_what_reaches_into_training() -> None:
    switched = replace(protocols()["equal"], name="mine", reset_optimizer=True)
    reason = inability("cerebro-spark", switched, emulated=False)
    assert reason == "it trains by itself, without the reset_optimizer of protocol mine"
    assert inability("ctq", switched, emulated=True) is None
    assert {run.spec.approach for run in plan(["breakdown"], "smoke", protocol="paper")} == {
        row.id for row in approaches_of("breakdown", "smoke")
    }
