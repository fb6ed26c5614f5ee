"""Figs 13 and 14 and ``--gantt``: what is drawn is what the journal says."""

from __future__ import annotations

import json

import pytest

from experiments.analysis import gantt
from experiments.analysis.runs import Run
from experiments.specs.load import approaches
from tests.analysis.scheduled_runs import emulated, run, schedule
from tests.analysis.words import check_words_fit, words


def _runs(experiment: str, workers: int) -> list[Run]:
    specs = [emulated(experiment, name, workers=workers) for name in ("ctq", "udaf")]
    return [run(spec, spec.approach, schedule(spec)) for spec in specs]


def test_a_bar_is_a_span() -> None:
    spec = emulated("barriers", "ctq", workers=2)
    ran = schedule(spec)
    table = gantt.table([run(spec, "ctq", ran)])
    trained = table[table["phase"] == "train"]
    assert len(trained) == len(ran) == 8
    for each in ran:
        own = trained[
            (trained["model"] == each.unit.model) & (trained["worker"] == each.unit.worker)
        ]
        assert own["end_s"].tolist() == [pytest.approx(each.end, abs=1e-6)]
    assert set(table["evidence"]) == {"emulated"}


def test_both_ways_of_training_share_a_time_axis_and_say_when_they_end() -> None:
    runs = _runs("stragglers", 3)
    table = gantt.table(runs)
    figure = gantt.figure(table, runs, gantt.names(runs, approaches()), "Fig 14")
    check_words_fit(figure)
    said = words(figure)
    for run_, name in zip(runs, ("CTQ, random", "UDAF, round robin"), strict=True):
        end = table.loc[table["run"] == run_.name, "end_s"].max()
        assert f"{name}: {end:.3g} s" in said
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


def test_many_workers_fit_on_a_page() -> None:
    spec = emulated("scalability", "ctq", workers=8)
    one = run(spec, "many", schedule(spec))
    figure = gantt.figure(gantt.bars(one), [one], ["CTQ"], "many")
    check_words_fit(figure)
    assert figure.get_figheight() < 8


def test_a_trace_has_every_span_on_its_workers_lane() -> None:
    spec = emulated("barriers", "ctq", workers=2)
    ran = schedule(spec)
    trace = json.loads(gantt.chrome_trace(run(spec, "ctq", ran)))["traceEvents"]
    spans = [event for event in trace if event["ph"] == "X"]
    assert len(spans) == 2 * len(ran)
    trained = {(e["tid"], e["args"]["model"]): e for e in spans if e["cat"] == "train"}
    for each in ran:
        event = trained[each.unit.worker + 1, each.unit.model]
        assert (event["ts"] + event["dur"]) / 1e6 == pytest.approx(each.end, abs=1e-6)
    lanes = {event["args"]["name"] for event in trace if event["name"] == "thread_name"}
    assert lanes == {"driver", "worker 0", "worker 1"}
