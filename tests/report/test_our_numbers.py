"""Every measure, of runs in which it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.analysis.runs import Run
from experiments.mop import theory
from experiments.report.our_numbers import OurNumbers
from experiments.report.quantities import Found, Unavailable, Value
from experiments.report.verdict import Outcome
from experiments.specs.claim import LEAST, MOST, Quantity
from experiments.specs.emulation import EMULATED
from experiments.telemetry.journal import Event
from tests.analysis import scheduled_runs
from tests.analysis.test_searches import search, write
from tests.report.planned_runs import paced

SECOND = 1_000_000_000


def ask(runs: Sequence[Run], measure: str, **selected: Any) -> Found:
    source = OurNumbers(runs, "smoke", {"Cerebro-Spark": STAND_INS}, {})
    return source.value(Quantity(measure, **{"experiment": runs[0].spec.experiment, **selected}))


STAND_INS = ("cerebro-spark-native", "cerebro-standalone", "cerebro-spark")


def number(runs: Sequence[Run], measure: str, **selected: Any) -> float:
    found = ask(runs, measure, **selected)
    assert isinstance(found, Value), found
    return found.mean


def why_not(runs: Sequence[Run], measure: str, **selected: Any) -> Unavailable:
    found = ask(runs, measure, **selected)
    assert isinstance(found, Unavailable)
    return found


def span(run: Run, phase: str, size: int, seconds: float = 1.0, **keys: Any) -> Run:
    """The run with one more span."""
    end = round(seconds * SECOND)
    more = Event("span", run.name, 0.0, 0, phase=phase, start_ns=0, end_ns=end, bytes=size, **keys)
    return replace(run, events=(*run.events, more))


def mark(run: Run, kind: str, detail: dict[str, Any], **keys: Any) -> Run:
    more = Event(kind, run.name, 0.0, run.events[-1].mono_ns, detail=detail, **keys)
    return replace(run, events=(*run.events, more))


@pytest.fixture
def ctq(tmp_path: Path) -> Run:
    """Two epochs on two workers: 16 s of training, 2 of evaluation, 0.08, 0.21 and 1.7 beside."""
    (run,) = paced(tmp_path, "e2e-imagenet", {"ctq": 1.0})
    return run


def test_times_and_components(ctq: Run) -> None:
    epoch = number([ctq], "epoch", approach="ctq")
    assert number([ctq], "execution", approach="ctq") == pytest.approx(2 * epoch)
    assert number([ctq], "etl", approach="ctq") == 7
    assert number([ctq], "end_to_end", approach="ctq") == pytest.approx(2 * epoch + 7)
    assert number([ctq], "train_valid", approach="ctq") == pytest.approx(18)
    assert number([ctq], "data_transmission", approach="ctq") == pytest.approx(0.08)
    assert number([ctq], "model_transmission", approach="ctq") == pytest.approx(0.21)
    assert number([ctq], "approach_specific", approach="ctq") == pytest.approx(1.7)
    assert number([ctq], "epoch_parts", approach="ctq") == pytest.approx(19.99)
    share = number([ctq], "approach_specific_share", approach="ctq")
    assert share == pytest.approx(1.7 / 19.99)


def test_seeds_are_samples_with_their_runs(tmp_path: Path) -> None:
    runs = paced(tmp_path, "e2e-imagenet", {"ctq": 1.0}, seeds=(3, 1))
    found = ask(runs, "execution", approach="ctq")
    assert isinstance(found, Value)
    assert found.runs == (runs[1].name, runs[0].name)  # by seed
    assert found.samples == pytest.approx((found.samples[0], found.samples[0] * 1.03 / 1.01))
    assert (found.unit, found.evidence) == ("s", frozenset({"measured"}))


def test_the_first_stand_in_that_was_run_answers(tmp_path: Path) -> None:
    runs = paced(tmp_path, "e2e-imagenet", {"cerebro-spark": 5.0, "cerebro-standalone": 2.0})
    found = ask(runs, "execution", approach="Cerebro-Spark")
    assert isinstance(found, Value)
    assert found.runs == (runs[1].name,)


def test_errors_are_those_of_the_best_configuration(ctq: Run) -> None:
    # the second of two configurations is the better one, and learns by exp(-0.6 epoch)
    expected = 0.2 + 0.6 * 2.718281828 ** (-0.6 * 2)
    assert number([ctq], "final_error", approach="ctq") == pytest.approx(expected)
    assert number([ctq], "final_top1_error", approach="ctq") == pytest.approx(expected)
    learned_nothing = replace(
        ctq, spec=scheduled_runs.emulated("heterogeneity", "ctq", workers=2), evidence=EMULATED
    )
    lost = why_not([learned_nothing], "final_error", approach="ctq")
    assert lost.outcome is Outcome.NOT_RUN
    assert "learn nothing" in lost.reason


def test_time_until_ma_s_error(tmp_path: Path) -> None:
    runs = paced(tmp_path, "e2e-imagenet", {"ma": 4.0, "udaf": 2.0})
    of_ma = number(runs, "execution", approach="ma")
    assert number(runs, "time_to_ma_error", approach="ma") == pytest.approx(of_ma)
    better = [
        replace(event, detail={**event.detail, "top1_error": 0.1, "loss": 0.1})
        if event.kind == "evaluated"
        else event
        for event in runs[1].events
    ]
    runs[1] = replace(runs[1], events=tuple(better))
    of_udaf = number(runs, "execution", approach="udaf")
    assert number(runs, "time_to_ma_error", approach="udaf") == pytest.approx(of_udaf / 2)
    worse = [
        replace(event, detail={**event.detail, "top1_error": 0.95})
        if event.kind == "evaluated"
        else event
        for event in runs[1].events
    ]
    runs[1] = replace(runs[1], events=tuple(worse))
    assert "never had an error of" in why_not(runs, "time_to_ma_error", approach="udaf").reason


def test_bytes_read_are_compared_with_the_table(ctq: Run) -> None:
    assert "packed no table" in why_not([ctq], "read_over_packed", approach="ctq").reason
    packed = span(ctq, "etl.pack", 1000)
    read = span(span(packed, "data_transmission", 600), "data_transmission", 900, epoch=1)
    assert number([read], "read_bytes", approach="ctq") == 1500
    assert number([read], "read_over_packed", approach="ctq") == 1.5


def test_states_moved_by_training_are_compared_with_the_formula(ctq: Run) -> None:
    assert "no state" in why_not([ctq], "moved_over_formula", approach="ctq").reason
    run = ctq
    for kind, size in (("train", 500), ("valid", 7000)):
        for epoch in (1, 2):
            for worker in (0, 1):
                keys = {"worker": worker, "model": 0, "partition": worker, "epoch": epoch}
                run = mark(run, "unit_started", {"kind": kind}, **keys)
                run = span(run, "model_transmission", size, **keys)
                run = span(run, "model_transmission", size, **keys)
    # read and written once for each of two epochs and two workers, as the formula has it
    assert number([run], "moved_over_formula", approach="ctq") == 1


def test_copies_of_direct_access_and_of_spark(tmp_path: Path) -> None:
    names = ("da-cerebro", "pytorch-ddp", "cerebro-spark-native")
    da, ddp, native = paced(tmp_path, "e2e-imagenet", dict.fromkeys(names, 1.0))
    held = mark(da, "shard_read", {"held_bytes": 10, "shard_bytes": 10, "file_bytes": 12})
    assert number([held], "copies_held", approach="da-cerebro") == 0
    exported = span(held, "etl.export", 5)
    assert number([exported], "copies_held", approach="da-cerebro") == 0.5
    assert "prepared files" in why_not([ddp], "copies_held", approach="pytorch-ddp").reason
    assert "no bytes" in why_not([native], "copies_written", approach="Cerebro-Spark").reason
    one = span(native, "etl.cast", 100)
    assert number([one], "copies_written", approach="Cerebro-Spark") == 0.5  # for each of 2 workers


def test_scaling_is_over_the_fewest_workers(tmp_path: Path) -> None:
    runs = [
        run
        for workers, pace in ((1, 4.0), (2, 2.5), (4, 2.0))
        for run in paced(tmp_path, "scalability", {"ma": pace}, workers=workers)
    ]
    at = {"approach": "ma"}
    assert number(runs, "speed_up", workers=2, **at) == pytest.approx(1.6)
    assert number(runs, "speed_up", workers=MOST, **at) == pytest.approx(2)
    assert number(runs, "efficiency", workers=MOST, **at) == pytest.approx(0.5)
    # every worker spends the same, so four spend four times as much as one
    assert number(runs, "train_valid_scaled", workers=4, **at) == pytest.approx(4)
    assert number(runs, "other_scaled", workers=2, **at) == pytest.approx(2)
    source = OurNumbers(runs, "smoke", {}, {})
    quantity = Quantity("speed_up", "scalability", "ma")
    assert source.points(quantity, "workers") == (1, 2, 4)
    assert number(runs, "other_scaled", workers=1, **at) == 1
    alone = why_not(runs[:1], "speed_up", workers=LEAST, **at)
    assert (alone.outcome, alone.pending) == (Outcome.NOT_RUN, True)


def heterogeneous() -> list[Run]:
    found = []
    for approach, stretch, policy in (("udaf", 3.0, "round_robin"), ("ctq", 1.0, "round_robin")):
        spec = scheduled_runs.emulated("heterogeneity", approach, workers=2, policy=policy)
        ran = scheduled_runs.schedule(spec)
        found.append(scheduled_runs.run(spec, approach, ran, stretch=stretch))
    return found


def test_asynchronous_over_synchronous() -> None:
    runs = heterogeneous()
    assert number(runs, "asynchronous_speed_up") == pytest.approx(3)
    assert OurNumbers(runs, "smoke", {}, {}).points(
        Quantity("asynchronous_speed_up", "heterogeneity"), "workers"
    ) == (2,)
    found = ask(runs, "asynchronous_theory")
    assert isinstance(found, Value)
    assert not found.evidence  # a formula is no kind of evidence
    spec = runs[1].spec
    by_kind: dict[str, list[float]] = {}
    for each in scheduled_runs.schedule(spec):
        kind = spec.configs[each.unit.model].architecture
        by_kind.setdefault(kind, []).append(each.end - each.start)
    fast, slow = sorted(sum(each) / len(each) for each in by_kind.values())
    assert found.mean == pytest.approx(theory.speed_up(2, 0.8, fast, slow), rel=1e-6)


def test_models_by_size() -> None:
    spec = scheduled_runs.emulated("model-size", "ctq", workers=2)
    run = scheduled_runs.run(spec, "ctq", scheduled_runs.schedule(spec))
    source = OurNumbers([run], "smoke", {}, {})
    quantity = Quantity("size_hop", "model-size", "ctq")
    architectures = source.points(quantity, "architecture")
    assert set(architectures) == {config.architecture for config in spec.configs}
    name = str(architectures[0])
    hop, training = (
        number([run], measure, approach="ctq", architecture=name)
        for measure in ("size_hop", "size_train_valid")
    )
    assert hop == pytest.approx((hop + training) / 10, rel=1e-6)  # a tenth of a unit's time
    share = number([run], "size_hop_share", approach="ctq", architecture=name)
    assert share == pytest.approx(0.1, rel=1e-6)
    assert (
        "no model of vgg16"
        in why_not([run], "size_hop", approach="ctq", architecture="vgg16").reason
    )


def test_searches(tmp_path: Path) -> None:
    run = write(tmp_path / "ctq", search("ctq"))
    assert number([run], "search_seconds", approach="ctq") == 20
    assert number([run], "search_error", approach="ctq") == pytest.approx(0.5)


def test_lines_are_counted_in_this_checkout(ctq: Run) -> None:
    found = ask([ctq], "lines", approach="ctq", experiment="")
    assert isinstance(found, Value)
    assert found.mean > 1000
    assert not found.runs


def test_a_gpu_that_trained_makes_it_a_matter_of_samples(ctq: Run) -> None:
    assert "no GPU" in why_not([ctq], "gpu_util_pct", approach="ctq").reason
    on_gpu = mark(ctq, "unit_finished", {"kind": "train", "device": "NVIDIA H200"}, worker=0)
    assert "no samples" in why_not([on_gpu], "gpu_util_pct", approach="ctq").reason
    assert "no samples" in why_not([ctq], "network_bytes", approach="ctq").reason


def test_what_was_not_run_says_what_would_bring_it(ctq: Run) -> None:
    lost = why_not([ctq], "execution", approach="udaf")
    assert (lost.outcome, lost.pending) == (Outcome.NOT_RUN, True)
    assert lost.reason == "no finished run of UDAF in e2e-imagenet"
    other = why_not([ctq], "execution", approach="ctq", workers=7)
    assert other.reason.endswith("with 7 workers")
    apart = why_not([ctq], "execution", approach="hyperopt-spark")
    assert (apart.outcome, apart.pending) == (Outcome.NOT_MEASURABLE, False)
    out = why_not([ctq], "execution", approach="pytorch-ddp", experiment="scalability")
    assert (out.outcome, out.pending) == (Outcome.NOT_RUN, False)
    assert "left out of scalability at smoke scale: its eight models" in out.reason


def test_a_number_that_is_not_finite_compares_with_nothing(ctq: Run) -> None:
    quiet = replace(ctq, events=tuple(e for e in ctq.events if e.kind != "evaluated"))
    with_nan = mark(
        quiet, "evaluated", {"split": "valid", "loss": "nan", "top1_error": "nan"}, model=0, epoch=2
    )
    assert "diverged" in why_not([with_nan], "final_error", approach="ctq").reason
