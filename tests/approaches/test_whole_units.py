"""Units on the whole data set in the journal, and what a crash leaves open there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from experiments.approaches.base import RunContext
from experiments.approaches.whole_units import WholeUnits
from experiments.mop.store import ModelStore
from experiments.specs.topology import Topology
from experiments.telemetry.journal import Event, Journal, read
from tests.contracts.conftest import contract_spec

KEYS: dict[str, Any] = {"worker": 1, "model": 2, "epoch": 1}
REPORT = {
    "spans": [["train", 10, 20, 0]],
    "rows": 4,
    "loss": 0.5,
    "metrics": {"top1_error": 0.25},
    "ranks": {},
    "counters": {},
}


PLAIN, WITH_PASS = ("train", "valid"), ("train", "training_pass", "valid")


def event(mark: str, /, **detail: Any) -> Event:
    return Event(kind=mark, run="r", wall=0.0, mono_ns=0, detail=detail, **KEYS)


def whole_units(folder: Path, kinds: Sequence[str] = PLAIN) -> WholeUnits:
    """As a start of the driver makes it."""
    path, store = folder / "journal.jsonl", ModelStore(folder / "store")
    journal, history = Journal(path, "r"), tuple(read(path))
    spec, nowhere = contract_spec("hyperopt-spark"), cast(Topology, None)
    protocol = replace(spec.protocol, training_set_pass=kinds is WITH_PASS)
    spec = replace(spec, protocol=protocol)
    return WholeUnits(RunContext(spec, cast(Any, None), nowhere, journal, store, history))


def epoch(units: WholeUnits, kinds: Sequence[str] = PLAIN) -> None:
    """A whole epoch of a model, as its trial tells it."""
    for kind in kinds:
        units.started(event("unit_started", kind=kind))
        told = event("unit_finished", kind=kind, version=1, seconds=0.1, report=REPORT)
        units.finished(told, submitted_ns=0)


def marks(folder: Path) -> list[str]:
    return [each.kind for each in read(folder / "journal.jsonl") if each.kind != "span"]


EPOCH = [
    *("epoch_started", "unit_started", "unit_finished", "unit_started", "unit_finished"),
    *("evaluated", "epoch_finished"),
]


def test_an_epoch_in_the_journal(tmp_path: Path) -> None:
    units = whole_units(tmp_path)
    epoch(units)
    assert marks(tmp_path) == EPOCH
    assert units.done == {2: 2}
    events = list(read(tmp_path / "journal.jsonl"))
    assert {each.partition for each in events} == {None}
    (evaluated,) = (each for each in events if each.kind == "evaluated")
    assert evaluated.detail == {"split": "valid", "rows": 4, "loss": 0.5, "top1_error": 0.25}


@pytest.mark.parametrize("kinds", [PLAIN, WITH_PASS])
@pytest.mark.parametrize("lines", range(len(EPOCH) + 4))
def test_a_crash_anywhere_leaves_nothing_open_and_repeats_no_unit(
    lines: int, kinds: Sequence[str], tmp_path: Path
) -> None:
    epoch(whole_units(tmp_path / "whole", kinds), kinds)
    written = [
        line
        for line in (tmp_path / "whole" / "journal.jsonl").read_text().splitlines(keepends=True)
        if '"kind":"span"' not in line
    ]
    (tmp_path / "journal.jsonl").write_text("".join(written[:lines]))
    units = whole_units(tmp_path, kinds)
    finished = marks(tmp_path).count("unit_finished")
    assert units.done[2] == finished
    assert marks(tmp_path).count("evaluated") == max(0, finished - 1)
    assert marks(tmp_path).count("epoch_finished") == (finished == len(kinds))
