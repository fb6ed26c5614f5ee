"""``--gantt RUN``: finds the run meant, draws it into its folder, says what it cannot find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from experiments.cli.main import main
from tests.analysis.synthetic_runs import two_approaches


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def test_a_run_is_drawn_into_its_folder(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_approaches(runs)
    assert main(["--gantt", "ctq"]) == 0  # how only one begins
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert {path.name for path in written} == {
        "gantt.png",
        "gantt.pdf",
        "gantt.csv",
        "gantt.trace.json",
    }
    assert {path.parent for path in written} == {runs / "ctq-1"}
    with Image.open(runs / "ctq-1" / "gantt.png") as picture:
        assert picture.width == 2400
    assert json.loads((runs / "ctq-1" / "gantt.trace.json").read_text())["traceEvents"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("c", "2 finished runs begin so: cerebro-standalone-1, ctq-1"),
        ("ctp-1", "no finished run is called so: ctq-1"),
        ("zzz", "no finished run is called so ("),
    ],
)
def test_what_is_meant_is_asked_in_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str], asked: str, said: str
) -> None:
    two_approaches(runs)
    assert main(["--gantt", asked]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_no_run_is_finished_yet(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--gantt", "ctq"]) == 2
    assert "no run is finished yet" in capsys.readouterr().err
