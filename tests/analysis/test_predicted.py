"""Predictions beside the paper's values, the rates they rest on, and the ranges of its claims."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.analysis import (
    output,
    predicted,
    predicted_bars,
    rates,
    reference,
    sensitivity,
    sensitivity_bars,
)
from experiments.analysis.rates import Rates
from experiments.analysis.runs import Run
from experiments.analysis.sensitivity import LEAST, MOST, Stretch, stretches
from experiments.errors import SpecError
from experiments.specs import prediction
from experiments.specs.load import approaches
from experiments.telemetry.journal import Event
from tests.analysis.synthetic_runs import SPEC

MS = 1_000_000

RATES = Rates(
    dispatch=dict.fromkeys(approaches(), 0.01),
    hop_tables=3e-9,
    hop_store=2e-9,
    read=1e-9,
    merge=1e-9,
)


@pytest.fixture(scope="module")
def assumed() -> prediction.Assumptions:
    return prediction.load()


@pytest.fixture(scope="module")
def table(assumed: prediction.Assumptions) -> pd.DataFrame:
    return predicted.table(RATES, assumed, approaches(), reference.load())


def test_rows_that_nothing_was_fitted_to_are_within_the_goal(table: pd.DataFrame) -> None:
    times = table[table["quantity"] == predicted.EXECUTION]
    assert len(times) == 7 + 5
    free = times[times["fitted"] == ""]
    assert set(times[times["fitted"] != ""]["paper_row"]) == {"DA-Cerebro", "CTQ"}
    assert len(free) == 9
    assert free["error"].abs().max() <= predicted.GOAL


def test_an_epochs_components_are_its_sum_and_the_tables_part(table: pd.DataFrame) -> None:
    for (data, row), part in table.groupby(["data", "paper_row"]):
        hours = part.set_index("quantity")["predicted_h"]
        parts = hours.drop([predicted.EXECUTION, predicted.EPOCH])
        assert parts.sum() == pytest.approx(hours[predicted.EPOCH]), (data, row)
        epochs = 10 if data == "imagenet" else 5
        assert hours[predicted.EXECUTION] == pytest.approx(
            epochs * hours[predicted.EPOCH], rel=0.02
        )
    assert set(table["evidence"]) == {"simulated"}


def test_the_order_of_the_approaches_is_the_papers(table: pd.DataFrame) -> None:
    times = table[table["quantity"] == predicted.EXECUTION].set_index(["data", "paper_row"])
    hours = times["predicted_h"]
    for data in ("imagenet", "criteo"):
        assert hours[data, "DA-Cerebro"] < hours[data, "MA"] < hours[data, "CTQ"]
        assert hours[data, "CTQ"] < hours[data, "UDAF"]
    assert hours["imagenet", "UDAF"] < hours["imagenet", "PyTDDP"]


def test_every_number_says_what_it_rests_on(
    table: pd.DataFrame, assumed: prediction.Assumptions
) -> None:
    papers = reference.load()
    for each in assumed.inputs.values():
        for name in each.fitted:
            figure, row = name.split("/")
            assert row in papers[figure].rows
    assert (table["inputs"] + table["fitted"] != "").all()
    assert list(predicted.inputs(assumed).index) == list(assumed.inputs)
    words = predicted.summary(table, assumed)
    assert words.loc[("Criteo", "CTQ"), "inputs from this very row"] == (
        "confA, database-training-criteo"
    )
    assert words.loc[("ImageNet", "MA"), "inputs from this very row"] == "–"


def test_the_figure(table: pd.DataFrame, assumed: prediction.Assumptions, tmp_path: Path) -> None:
    figure = predicted_bars.figure(table, assumed, RATES)
    saved = output.save(figure, table, "table6-predicted", tmp_path)
    assert all(path.stat().st_size > 2000 for path in saved.outputs)


def made_up(experiment: str, approach: str, spans: list[tuple[str, int, int]]) -> Run:
    """A run of one unit on worker 0: phases, milliseconds and bytes; 5 ms of dispatch."""
    keys: dict[str, Any] = {"worker": 0, "model": 0, "partition": 0, "epoch": 1}
    name, clock = f"{experiment}-{approach}", 0
    events = [Event("unit_started", name, 0.0, 0, **keys)]
    for phase, ms, size in spans:
        span: dict[str, Any] = {
            "phase": phase,
            "start_ns": clock,
            "end_ns": clock + ms * MS,
            "bytes": size,
        }
        clock += ms * MS
        events.append(Event("span", name, 0.0, clock, **keys, **span))
    detail = {"kind": "train", "seconds": clock / 1e9 + 0.005}
    events.append(Event("unit_finished", name, 0.0, clock + 5 * MS, **keys, detail=detail))
    spec = replace(SPEC, experiment=experiment, approach=approach)
    return Run(name, Path(name), spec, "measured", 10, {}, tuple(events), 0)


RUNS = (
    made_up("breakdown", "ma", [("model_transmission", 1, 3000), ("merge", 6, 0)]),
    made_up("breakdown", "cerebro-standalone", [("data_transmission", 4, 8000), ("train", 9, 0)]),
    made_up("model-size", "udaf", [("model_transmission", 3, 1000), ("train", 9, 0)]),
    made_up("model-size", "ctq", [("model_transmission", 2, 1000), ("train", 9, 0)]),
)


def test_rates_of_runs() -> None:
    found = rates.measured(RUNS)
    assert dict(found.dispatch) == pytest.approx({"ma": 0.005, "cerebro-standalone": 0.005})
    assert found.hop_tables == pytest.approx(3e-6)
    assert found.hop_store == pytest.approx(2e-6)
    assert found.read == pytest.approx(4e-3 / 8000)
    assert found.merge == pytest.approx(6e-3 / 3000)
    words = rates.summary(found)["here"]
    assert words["dispatching a unit, ma"] == "5 ms"
    assert words["moving a state through tables"] == "3e+03 ns a byte"


@pytest.mark.parametrize("missing", range(4))
def test_a_run_that_a_rate_needs(missing: int) -> None:
    run = RUNS[missing]
    rest = [each for each in RUNS if each is not run]
    message = f"needs a finished run of {run.spec.approach} in {run.spec.experiment}"
    with pytest.raises(SpecError, match=message):
        rates.measured(rest)


def test_where_a_claim_turns_over() -> None:
    assert stretches(lambda _: True) == [Stretch(LEAST, MOST)]
    assert stretches(lambda _: False) == []
    (above,) = stretches(lambda factor: factor > 0.3)
    assert above.low == pytest.approx(0.3, rel=0.01)
    assert above.high == MOST
    (between,) = stretches(lambda factor: 0.05 < factor < 7)
    assert between.low == pytest.approx(0.05, rel=0.01)
    assert between.high == pytest.approx(7, rel=0.01)
    low, high = stretches(lambda factor: not 0.05 < factor < 7)
    assert (low.low, high.high) == (LEAST, MOST)
    assert low.high == pytest.approx(0.05, rel=0.01)


def test_the_ranges_of_the_papers_claims(assumed: prediction.Assumptions, tmp_path: Path) -> None:
    """Of two claims, to be quick: they hold on the paper's cluster; where MOP and DDP meet."""
    kept = [each for each in assumed.claims if each.faster == "UDAF"]
    some = replace(assumed, claims=tuple(kept))
    table = sensitivity.table(RATES, some)
    assert table["at_paper"].all()
    assert (table["ratio"] > 1).all()
    ddp = table[table["claim"] == "UDAF faster than PyTDDP"].set_index("axis")
    assert ddp.loc["network", "low"] == LEAST
    assert 1 < ddp.loc["network", "high"] < 10
    assert 0.1 < ddp.loc["accelerator", "low"] < 1
    words = sensitivity.summary(table, some)
    assert words.loc[("ImageNet", "UDAF faster than PyTDDP"), "network"].startswith("below ")
    saved = output.save(sensitivity_bars.figure(table, some), table, "sensitivity", tmp_path)
    assert all(path.stat().st_size > 500 for path in saved.outputs)
