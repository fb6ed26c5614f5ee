"""What the live page is told: journals as they grow, begun anew, or damaged."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from experiments.paths import Artifacts, RunFolder, state
from experiments.report.live import FINISHED, GOING_ON, LOG_BYTES, SHOWN_RUNS, SILENT, LiveRuns
from tests.analysis.synthetic_runs import spec
from tests.report.made_up import begin, finished, train


def age(folder: Path, seconds: float) -> None:
    """Let a run's files be as old as that."""
    then = time.time() - seconds
    for path in folder.iterdir():
        os.utime(path, (then, then))


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path)


def following(artifacts: Artifacts, *planned: str) -> LiveRuns:
    return LiveRuns(artifacts, lambda _: 8, planned)


def test_an_empty_folder_has_nothing_to_show(artifacts: Artifacts) -> None:
    live = following(artifacts).look()
    assert (live.runs, live.shown, live.more) == ((), None, 0)


def test_units_are_counted_as_they_come(artifacts: Artifacts) -> None:
    runs = following(artifacts)
    with begin(artifacts.runs / "one", spec()) as journal:
        train(journal, 0, 1, 0)
        journal.append("unit_started", kind="valid", worker=1, model=0, partition=1, epoch=2)
        (row,) = (first := runs.look()).runs
        assert (row.state, row.begun, row.finished, row.expected) == (GOING_ON, 2, 1, 8)
        assert first.shown is not None
        assert [worker.units for worker in first.shown.workers] == [1, 0]
        doing = [worker.doing for worker in first.shown.workers]
        assert doing[0] == "waits"
        assert doing[1].startswith("evaluates: model 0, epoch 2, ")
        journal.append("unit_finished", kind="valid", worker=1, model=0, partition=1, epoch=2)
        second = runs.look()
    assert second.runs[0].finished == 2
    assert second.shown is not None
    assert second.shown.workers[1].doing == "waits"
    for worker in second.shown.workers:  # from nothing, a step up to one, and so until now
        points = [point.split(",") for point in worker.points.split()]
        assert [height for _, height in points] == ["98.0", "98.0", "2.0", "2.0"]
        assert points[1][0] == points[2][0]


def test_a_run_that_goes_on_is_shown_before_one_that_ended_later(artifacts: Artifacts) -> None:
    begin(artifacts.runs / "open", spec()).close()
    age(artifacts.runs / "open", 5)
    finished(artifacts.runs / "ended", spec())
    live = following(artifacts, "ended", "open").look()
    assert [row.name for row in live.runs] == ["ended", "open"]
    assert [row.state for row in live.runs] == [FINISHED, GOING_ON]
    assert live.shown is not None
    assert live.shown.name == "open"
    assert (live.planned_done, len(live.planned)) == (1, 2)


def test_silence_is_told_and_its_time_does_not_count(artifacts: Artifacts) -> None:
    begin(artifacts.runs / "one", spec()).close()
    age(artifacts.runs / "one", 3600)
    (row,) = following(artifacts).look().runs
    assert row.state == SILENT
    assert row.silent >= 3600
    assert row.seconds == 0


def test_a_journal_that_is_begun_anew_is_counted_anew(artifacts: Artifacts) -> None:
    folder = artifacts.runs / "one"
    runs = following(artifacts)
    with begin(folder, spec()) as journal:
        train(journal, 0, 0, 0)
        train(journal, 0, 1, 1)
    assert runs.look().runs[0].finished == 2
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with begin(folder, spec()) as journal:
        train(journal, 1, 0, 0)
    assert runs.look().runs[0].finished == 1


def test_a_damaged_line_is_told_and_a_torn_one_waited_for(artifacts: Artifacts) -> None:
    folder = artifacts.runs / "one"
    begin(folder, spec()).close()
    runs = following(artifacts)
    with RunFolder(folder).journal.open("a") as journal:
        journal.write('{"kind":"unit_started","run":"one"')
    assert runs.look().runs[0].fault == ""
    with RunFolder(folder).journal.open("a") as journal:
        journal.write(", nonsense\n")
    assert "is not a journal event" in runs.look().runs[0].fault


def test_only_the_end_of_a_log_is_shown(artifacts: Artifacts) -> None:
    folder = artifacts.runs / "one"
    begin(folder, spec()).close()
    RunFolder(folder).log.write_bytes(b"first\n" + b"x" * 70 + b"\n" * LOG_BYTES + b"last \xff\n")
    live = following(artifacts).look()
    assert live.shown is not None
    assert "first" not in live.shown.log
    assert live.shown.log.endswith("last \ufffd\n")
    assert len(live.shown.log) <= LOG_BYTES


def test_results_change_the_version_and_progress_does_not(artifacts: Artifacts) -> None:
    runs = following(artifacts)
    with begin(artifacts.runs / "one", spec()) as journal:
        before = runs.look().version
        train(journal, 0, 0, 0)
        assert runs.look().version == before
    artifacts.report.mkdir()
    artifacts.verdicts.write_text(json.dumps({}))
    assert runs.look().version != before


def test_more_runs_than_rows_are_counted(artifacts: Artifacts) -> None:
    for number in range(SHOWN_RUNS + 2):
        begin(artifacts.runs / f"run-{number}", spec()).close()
    live = following(artifacts).look()
    assert (len(live.runs), live.more) == (SHOWN_RUNS, 2)


def test_the_machine_is_told_from_the_last_two_samples(
    artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRO_DS_HOME", str(tmp_path / "state"))
    begin(artifacts.runs / "one", spec()).close()
    shown = following(artifacts).look().shown
    assert shown is not None
    assert [(each.what, each.now) for each in shown.resources] == [
        ("Samples of this run", "no telemetry")
    ]
    live = state().live("one")
    live.mkdir(parents=True)
    memory = {"memory_bytes": 8_000_000_000, "available_bytes": 6_000_000_000}
    samples = [
        {
            "at": [second * 2_000_000_000, 0.0],
            "host": {"": {"user_us": 3_000_000 * second, "idle_us": 1_000_000 * second, **memory}},
            "network": {"lo": {"received_bytes": 5_000_000 * second, "sent_bytes": 0}},
        }
        for second in (1, 2)
    ]
    lines = [json.dumps({"header": {"node": 0}}), *map(json.dumps, samples), '{"at": [9']
    (live / "node-0.jsonl").write_text("\n".join(lines))
    shown = following(artifacts).look().shown
    assert shown is not None
    assert [(each.what, each.now) for each in shown.resources] == [
        ("Processors", "75 %"),
        ("Memory", "2.0 GB of 8.0 GB"),
        ("Network lo", "2.5 MB/s received, 0.0 MB/s sent"),
    ]
