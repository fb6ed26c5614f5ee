"""Wall times leave out what is not work: start-up, and the time a run lay dead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.analysis import durations
from experiments.analysis.runs import Run
from experiments.errors import DataError
from experiments.telemetry.journal import Event
from tests.analysis.synthetic_runs import SECOND, spec

EPOCHS = 2
Mark = tuple[float, str, dict[str, Any]]


def made(marks: Iterable[Mark], epochs: int = EPOCHS) -> Run:
    """A run of these events: second, kind, keys and detail."""
    keys = ("model", "epoch", "worker")
    events = tuple(
        Event(
            kind,
            "run",
            0.0,
            round(second * SECOND),
            **{key: about[key] for key in keys if key in about},
            detail={key: value for key, value in about.items() if key not in keys},
        )
        for second, kind, about in marks
    )
    return Run("run", Path("run"), spec(epochs=epochs), "measured", 10, {}, events, 0)


START: Mark = (0.0, "run_started", {"resumed": False})
ETL: Mark = (3.0, "stage", {"name": "etl", "seconds": 2.5})


def epoch(number: int, start: float, end: float, **keys: int) -> list[Mark]:
    return [
        (start, "epoch_started", {"epoch": number, **keys}),
        (end - 1, "evaluated", {"epoch": number, "model": 0}),
        (end, "epoch_finished", {"epoch": number, **keys}),
    ]


WHOLE: list[Mark] = [START, ETL, (9.0, "span", {"worker": 0}), *epoch(1, 10, 14), *epoch(2, 15, 20)]


def test_etl_and_execution_leave_out_start_up() -> None:
    run = made(WHOLE)
    assert durations.etl(run) == 2.5
    assert durations.execution(run) == 9.0
    assert not durations.interrupted(run)


def test_models_that_come_one_after_another_are_summed() -> None:
    starts = {(0, 1): 5.0, (0, 2): 10.0, (1, 1): 25.0, (1, 2): 30.0}
    marks = [mark for (m, e), at in starts.items() for mark in epoch(e, at, at + 2, model=m)]
    assert durations.execution(made([START, ETL, *marks])) == 8.0


def test_the_time_that_a_run_lay_dead_does_not_count() -> None:
    cut: list[Mark] = [
        (15.0, "epoch_started", {"epoch": 2}),
        (18.0, "unit_finished", {"epoch": 2, "model": 0, "worker": 0}),
        (18.5, "stage", {"name": "train", "seconds": 9.0}),
        (500.0, "run_started", {"resumed": True}),
        (501.0, "stage", {"name": "etl", "seconds": 0.25}),
    ]
    run = made([START, ETL, *epoch(1, 10, 14), *cut, *epoch(2, 510, 512)])
    assert durations.etl(run) == 2.75
    assert durations.execution(run) == 4.0 + 3.0 + 2.0
    assert durations.interrupted(run)


def test_a_clock_that_starts_anew_after_a_reboot_does_no_harm() -> None:
    cut: list[Mark] = [
        (15.0, "epoch_started", {"epoch": 2}),
        (1.0, "run_started", {"resumed": True}),
    ]
    run = made([START, ETL, *epoch(1, 10, 14), *cut, *epoch(2, 2, 5)])
    assert durations.execution(run) == 4.0 + 0.0 + 3.0


def test_a_run_that_lost_a_worker_or_restarted_a_role_is_marked() -> None:
    lost: Mark = (12.0, "unit_lost", {"epoch": 1, "model": 0, "worker": 0})
    assert durations.interrupted(made([*WHOLE, lost]))
    assert durations.interrupted(replace(made(WHOLE), restarts=1))


def test_an_approach_that_goes_model_by_model_owes_every_epoch_of_every_model() -> None:
    models = range(len(spec().configs))
    turns = [
        (start + place, kind, {**about, "model": model})
        for model in models
        for start, number in ((10.0, 1), (100.0, 2))
        for place, (_, kind, about) in enumerate(epoch(number, 0, 1))
    ]
    turns.sort(key=lambda mark: (mark[2]["model"], mark[2]["epoch"]))
    durations.execution(made([START, ETL, *turns]))
    last = [mark for mark in turns if (mark[2]["model"], mark[2]["epoch"]) != (models[-1], 2)]
    with pytest.raises(DataError, match=r"start or the end of epochs \[2\]"):
        durations.execution(made([START, ETL, *last]))


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ([START, ETL, *epoch(1, 10, 14)], r"start or the end of epochs \[2\]"),
        ([START, ETL, *epoch(1, 10, 14), *epoch(2, 15, 20)[:2]], r"of epochs \[2\]"),
        ([START, ETL, *epoch(1, 10, 14), *epoch(3, 15, 20)], r"epochs \[2, 3\]"),
    ],
)
def test_a_journal_that_lacks_an_epoch_is_refused(marks: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        durations.execution(made(marks))


def test_a_journal_without_etl_is_refused() -> None:
    with pytest.raises(DataError, match="no stage 'etl'"):
        durations.etl(made([START]))
