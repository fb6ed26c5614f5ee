"""The journal: whole lines, in order, whatever ends the process that writes it."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.errors import DataError
from experiments.paths import CHECKOUT
from experiments.telemetry.clock import UnitClock
from experiments.telemetry.journal import Journal, Span, Tail, number, read


def test_events_come_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "run" / "journal.jsonl"
    with Journal(path, "a run") as journal:
        journal.append("unit_finished", worker=1, model=2, partition=1, epoch=3, kind="train")
        journal.span(Span("train", 5, 2_000_000_005, bytes=7), worker=0, epoch=1)
    first, second = read(path)
    assert (first.kind, first.run, first.worker, first.model, first.epoch) == (
        "unit_finished",
        "a run",
        1,
        2,
        3,
    )
    assert first.detail == {"kind": "train"}
    assert (second.phase, second.seconds, second.bytes) == ("train", 2.0, 7)
    assert second.mono_ns >= first.mono_ns


def test_a_missing_journal_has_no_events(tmp_path: Path) -> None:
    assert list(read(tmp_path / "none.jsonl")) == []


def test_an_unknown_phase_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", "r") as journal, pytest.raises(ValueError, match="sleep"):
        journal.span(Span("sleep", 0, 1))


@given(cut=st.integers(1, 200), more=st.integers(0, 3))
def test_a_torn_last_line_is_cut_and_the_journal_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int, more: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "j"
    with Journal(path, "r") as journal:
        for epoch in range(4):
            journal.append("epoch_started", epoch=epoch)
    whole = path.read_bytes()
    torn = whole[: max(0, len(whole) - cut)]
    path.write_bytes(torn)
    kept = torn.count(b"\n")
    assert [event.epoch for event in read(path)] == list(range(kept))
    with Journal(path, "r") as journal:
        for epoch in range(more):
            journal.append("epoch_finished", epoch=epoch)
    assert [event.epoch for event in read(path)] == [*range(kept), *range(more)]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, "r") as journal:
        for epoch in range(3):
            journal.append("epoch_started", epoch=epoch)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"run"', b'"r\xffn"')
    path.write_bytes(b"".join(lines))
    with pytest.raises(DataError, match=r"j: line 2 is not a journal event"):
        list(read(path))


def test_kill_nine_leaves_every_appended_event(tmp_path: Path) -> None:
    path = tmp_path / "j"
    script = (
        "import sys; from pathlib import Path; from experiments.telemetry.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), 'r')\n"
        "for epoch in range(10**6):\n"
        "    journal.append('epoch_started', epoch=epoch)\n"
        "    print(epoch, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert process.stdout is not None
    said = -1
    for _ in range(50):
        said = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.stdout.close()
    process.wait()
    said = int(rest[-1]) if rest else said
    found = [event.epoch for event in read(path)]
    assert found == list(range(len(found)))
    assert len(found) > said


@pytest.mark.parametrize("value", [0.0, -1.5, math.inf, -math.inf, math.nan])
def test_numbers_that_json_lacks_come_back(tmp_path: Path, value: float) -> None:
    with Journal(tmp_path / "j", "r") as journal:
        journal.append("evaluated", loss=number(value))
    (event,) = read(tmp_path / "j")
    assert float(event.detail["loss"]) == pytest.approx(value, nan_ok=True)
    with Journal(tmp_path / "j", "r") as journal, pytest.raises(ValueError, match="JSON"):
        journal.append("evaluated", loss=math.nan)


def test_laps_add_up_to_the_whole() -> None:
    clock = UnitClock()
    clock.begin(ago_ns=1000)
    clock.lap("data_transmission", 5)
    clock.lap("train")
    clock.lap("data_transmission", 7)
    fetch, train = clock.spans()
    assert (fetch.phase, fetch.bytes, train.phase, train.bytes) == (
        "data_transmission",
        12,
        "train",
        0,
    )
    assert fetch.end_ns == train.start_ns
    assert fetch.end_ns - fetch.start_ns >= 1000


def test_a_tail_of_some_kinds_passes_the_others_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    tail = Tail(path, ("asked", "told"))
    with Journal(path, "r") as journal:
        for kind in ("asked", "evaluated", "told", "asked_else"):
            journal.append(kind, model=1)
        assert [event.kind for event in tail.events()] == ["asked", "told"]
        journal.append("told", model=2)
        assert [event.model for event in tail.events()] == [2]
