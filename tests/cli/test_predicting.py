"""What --plan says of time and disk, and what is kept of it beside what runs took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.cli.predicting import write_predicted, write_taken
from experiments.errors import DataError
from experiments.paths import Artifacts, RunFolder
from experiments.report.words import size
from experiments.runner.plan import PlannedRun, plan
from tests.runner.timed_runs import BEGAN, Machine, spec_of


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    """Where a run of CTQ is done, in another state of the code."""
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    Machine().write(Artifacts().runs, spec_of("ctq"))
    return Artifacts()


def test_a_plan_has_time_and_disk(artifacts: Artifacts, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--plan", "--experiment", "breakdown", "--scale", "smoke", "--workers", "2"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "state", "time", "disk", "why"]
    rows = {line.split()[0]: line for line in lines if line.startswith("breakdown-")}
    (ctq,) = (line for name, line in rows.items() if name.startswith("breakdown-ctq"))
    seconds = round(sum(Machine().parts(spec_of()).values()) - Machine().stop)
    assert f"  {seconds} s  " in ctq
    (other,) = (
        line for name, line in rows.items() if name.startswith("breakdown-cerebro-spark-sm")
    )
    assert "unknown" in other
    assert any(line.startswith("predicted on this machine: ") for line in lines)
    assert any("cerebro-spark has run here yet" in line for line in lines)
    assert main([*command, "--json"]) == 0
    told = {each["run"]: each for each in json.loads(capsys.readouterr().out)}
    (ctq_told,) = (each for name, each in told.items() if name.startswith("breakdown-ctq"))
    assert ctq_told["predicted"]["seconds"] == pytest.approx(seconds, abs=1)
    assert ctq_told["predicted"]["bytes"] > 0


def runs() -> list[PlannedRun]:
    return plan(["breakdown"], "smoke", workers=2)


def test_what_was_said_before_a_run_stays(artifacts: Artifacts) -> None:
    first, *_ = planned = runs()
    write_predicted(planned, "smoke")
    before = json.loads(artifacts.predicted.read_text())
    assert set(before["runs"]) == {run.name for run in planned}
    known = [row["seconds"] for row in before["runs"].values() if row["seconds"]]
    assert before["total_seconds"] == pytest.approx(sum(known))
    write_taken(first, 12.5)
    first.folder.root.mkdir(parents=True)
    first.folder.result.write_text(json.dumps({"seconds": {"train": 1.0}}))
    Machine(unit=5.0).write(artifacts.runs, spec_of("ctq"), BEGAN + 1000)
    write_predicted(runs(), "smoke")
    after = json.loads(artifacts.predicted.read_text())
    assert after["runs"][first.name] == {**before["runs"][first.name], "took_seconds": 12.5}
    ctq = next(run.name for run in planned if run.spec.approach == "ctq")
    assert after["runs"][ctq]["seconds"] > before["runs"][ctq]["seconds"]


def test_the_prediction_is_there_before_the_first_run(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def execute(run: PlannedRun, _: object) -> None:
        rows = json.loads(artifacts.predicted.read_text())["runs"]
        seen.append(run.name in rows and "took_seconds" not in rows[run.name])
        run.folder.root.mkdir(parents=True, exist_ok=True)
        run.folder.result.write_text(json.dumps({"seconds": {}}))

    monkeypatch.setattr("experiments.cli.reproduce.execute", execute)
    monkeypatch.setattr("experiments.cli.upfront.check", lambda *_: [])
    monkeypatch.setattr("experiments.cli.upfront.make", lambda *_, **__: None)
    monkeypatch.setattr("experiments.runner.pacing.warning", lambda _: None)
    command = ["--experiment", "breakdown", "--scale", "smoke", "--workers", "2", "--quiet"]
    monkeypatch.setattr("experiments.cli.main._wanted", lambda _: (["breakdown"], []))
    assert main(command) == 0
    assert seen == [True] * len(runs())
    rows = json.loads(artifacts.predicted.read_text())["runs"]
    assert all(row["took_seconds"] >= 0 for row in rows.values())


def test_a_damaged_file_is_named(artifacts: Artifacts) -> None:
    artifacts.report.mkdir(parents=True)
    artifacts.predicted.write_text("{")
    with pytest.raises(DataError, match=r"predicted\.json is damaged: remove it"):
        write_predicted(runs(), "smoke")


def test_a_damaged_run_does_not_keep_a_plan_from_being_made(
    artifacts: Artifacts, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder,) = map(RunFolder, artifacts.runs.iterdir())
    folder.journal.write_text("no json\n")
    assert main(["--plan", "--experiment", "breakdown", "--scale", "smoke"]) == 0
    assert "nothing like ctq has run here yet: give --pilot first" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 MiB"), (1, "1 MiB"), (2**20, "1 MiB"), (3 * 2**29, "1.5 GiB")]
)
def test_bytes_for_people(count: int, words: str) -> None:
    assert size(count) == words
