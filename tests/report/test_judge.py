"""Verdicts on made-up runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.analysis.runs import Run
from experiments.report.judge import judge
from experiments.report.verdict import Outcome, Verdict
from experiments.specs import claims as specs
from tests.analysis import scheduled_runs
from tests.report.planned_runs import as_in_the_paper, paced

CLAIMS = specs.load()


def verdicts(runs: list[Run], scale: str = "smoke") -> dict[str, Verdict]:
    return {each.claim: each for each in judge(CLAIMS, runs, scale=scale)}


def test_without_runs_every_claim_says_what_it_lacks() -> None:
    found = verdicts([])
    assert list(found) == list(CLAIMS.claims)
    assert all(each.reason for each in found.values())
    outcomes = {each.outcome for key, each in found.items() if CLAIMS.claims[key].needs}
    assert outcomes == {Outcome.NOT_RUN}
    assert "--experiment e2e-imagenet e2e-criteo --scale smoke" in found["1"].reason
    assert "o finished run of DA-Cerebro in e2e-imagenet" in found["1"].reason
    assert "--scale laptop" in found["13"].reason  # smoke is too small, whatever was run
    assert found["36"].outcome is Outcome.SIMULATED  # and never more than that
    assert found["51"].outcome is Outcome.NOT_MEASURABLE


def test_times_as_in_the_paper_reproduce_its_claims(tmp_path: Path) -> None:
    runs = as_in_the_paper(tmp_path)
    found = verdicts(runs)
    held = {key for key, each in found.items() if each.outcome is Outcome.REPRODUCED}
    assert {"1", "3", "5", "6", "7", "11", "12", "15"} <= held
    assert found["4"].outcome is Outcome.CONTRADICTED  # as the paper's own Criteo does
    assert found["1"].evidence == ("measured",)
    assert set(found["3"].runs) == {
        run.name
        for run in runs
        if run.spec.experiment == "e2e-criteo" and run.spec.approach in {"udaf", "da-cerebro"}
    }
    assert "one run each; spread unknown" in found["1"].reason.lower()
    assert "ratio 2.88" in found["3"].ours
    assert "ratio 2.88" in found["3"].paper


def test_the_other_way_round_contradicts_them(tmp_path: Path) -> None:
    times = {"udaf": 1.0, "ctq": 2.0, "da-cerebro": 30.0}
    runs = [
        *paced(tmp_path, "e2e-imagenet", times),
        *paced(tmp_path, "e2e-criteo", times),
    ]
    found = verdicts(runs)
    assert found["6"].outcome is Outcome.CONTRADICTED
    assert found["3"].outcome is Outcome.CONTRADICTED


def test_a_size_that_is_missed_is_direction_only(tmp_path: Path) -> None:
    runs = paced(tmp_path, "e2e-criteo", {"udaf": 15.0, "da-cerebro": 10.0})
    assert verdicts(runs)["3"].outcome is Outcome.DIRECTION_ONLY


def test_repeats_give_intervals_and_say_what_they_can_tell(tmp_path: Path) -> None:
    times = {"udaf": 28.0, "da-cerebro": 10.0}
    two = verdicts(paced(tmp_path / "2", "e2e-criteo", times, seeds=(1, 2)))["3"]
    assert "2 runs each: too few to tell, the smallest p they can give is 0.17" in two.reason
    four = verdicts(paced(tmp_path / "4", "e2e-criteo", times, seeds=(1, 2, 3, 4)))["3"]
    assert "4 runs each; Mann-Whitney" in four.reason
    assert "Widest 95% interval 2.7" in four.reason
    (part,) = four.numbers["parts"]
    ((low, high),) = part["intervals"]
    assert low < 2.8 < high
    assert [len(each["samples"]) for each in part["quantities"]] == [4, 4]


def test_both_protocols_are_judged_where_both_were_run(tmp_path: Path) -> None:
    equal = paced(tmp_path, "e2e-criteo", {"udaf": 10.0, "da-cerebro": 10.0})
    paper = paced(tmp_path, "e2e-criteo", {"udaf": 29.0, "da-cerebro": 10.0}, protocol="paper")
    found = verdicts([*equal, *paper])["3"]
    assert found.outcome is Outcome.CONTRADICTED
    assert found.protocols == {"equal": Outcome.CONTRADICTED, "paper": Outcome.REPRODUCED}
    assert "by protocol: equal: contradicted, paper: reproduced" in found.reason.lower()
    alone = verdicts(paper)["3"]
    assert (alone.outcome, alone.protocols) == (
        Outcome.REPRODUCED,
        {"paper": Outcome.REPRODUCED},
    )


def test_a_stand_in_that_fares_differently_is_told(tmp_path: Path) -> None:
    times = {"pytorch-ddp": 30.0, "cerebro-spark-native": 10.0, "cerebro-spark": 60.0}
    found = verdicts(paced(tmp_path, "e2e-imagenet", times))["12"]
    assert found.outcome is Outcome.REPRODUCED
    assert "With Cerebro-Spark (cerebro-dl 1.1.1) in its place: contradicted" in found.reason
    del times["cerebro-spark-native"]
    package = verdicts(paced(tmp_path / "package", "e2e-imagenet", times))["12"]
    assert package.outcome is Outcome.CONTRADICTED


def test_what_a_scale_leaves_out_is_told_with_its_reason(tmp_path: Path) -> None:
    runs = paced(tmp_path, "e2e-criteo", {"cerebro-spark-native": 1.0}, scale="paper")
    found = verdicts(runs, "paper")["10"]
    assert found.outcome is Outcome.NOT_RUN
    assert "left out of e2e-criteo at paper scale: the paper left it out too" in found.reason


def scheduled(workers: int) -> list[Run]:
    """UDAF and CTQ as the simulator has them, on emulated workers."""
    found = []
    for approach, policy in (("udaf", "round_robin"), ("ctq", "random")):
        spec = scheduled_runs.emulated("heterogeneity", approach, workers=workers, policy=policy)
        ran = scheduled_runs.schedule(spec)
        found.append(scheduled_runs.run(spec, f"{approach}-{workers}", ran))
    return found


def test_emulated_runs_are_held_against_theory() -> None:
    found = verdicts(scheduled(2))["33"]
    assert found.evidence == ("emulated",)
    assert found.outcome in {Outcome.REPRODUCED, Outcome.CONTRADICTED}
    (part,) = found.numbers["parts"]
    up, theory = (each["samples"][0] for each in part["quantities"])
    assert part["ratios"] == [pytest.approx(up / theory)]
    assert (abs(up / theory - 1) <= 0.10) == (found.outcome is Outcome.REPRODUCED)


def test_one_number_of_workers_tells_no_growth() -> None:
    found = verdicts(scheduled(2))["34"]
    assert found.outcome is Outcome.DIRECTION_ONLY  # the simulated parts hold
    assert "one number of workers only" in found.reason
    both = verdicts([*scheduled(2), *scheduled(4)])["34"]
    assert both.outcome is Outcome.SIMULATED
    assert both.evidence == ("emulated", "simulated")


def test_gpus_and_samples_that_are_not_there_are_named(tmp_path: Path) -> None:
    found = verdicts(as_in_the_paper(tmp_path))
    assert found["9"].outcome is Outcome.NOT_MEASURABLE
    assert "No GPU" in found["9"].reason
    assert found["18"].outcome is Outcome.NOT_RUN
    assert "no samples of resources" in found["18"].reason
