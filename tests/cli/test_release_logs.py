"""``--from-release-logs``: what it says of a folder, and of what is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.cli.main import main
from tests.analysis.release import made_up


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """One run with one damaged line, a pickle, and something else."""
    folder = tmp_path / "logs" / "run_logs" / "2020_08_18_16_47_28"
    made_up.write(folder / "global.log", [*made_up.global_log("cerebro-ctq", 100), "cerebro-c"])
    made_up.write(folder / "cerebro-ctq" / "client.log", made_up.in_database(0))
    (folder / "cerebro-ctq" / "models_info.pkl").write_bytes(b"\x80\x03.")
    made_up.write(folder / "notes.txt", ["?"])
    return tmp_path / "logs"


def test_a_folder_is_read_and_summed_up(
    artifacts: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--from-release-logs", str(logs)]) == 0
    said = capsys.readouterr()
    out = artifacts / "figures" / "paper-logs"
    assert "files: 1 events, 1 global, 1 pickle, 1 unknown" in said.out
    assert "damaged lines, left out: 1 (listed in damaged.csv)" in said.out
    assert "not read: 1 (a pickle: reading one runs whatever its maker put into it" in said.out
    assert "drawn: Table 6\n" in said.out
    assert f"written to {out}" in said.out
    assert "100 %, about 0 s left" in said.err
    assert "global.log,4,not a line of global.log,cerebro-c" in (out / "damaged.csv").read_text()
    assert (out / "table6.png").stat().st_size


def test_as_json(artifacts: Path, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--from-release-logs", str(logs), "--json", "--quiet"]) == 0
    said = capsys.readouterr()
    assert not said.err
    told = json.loads(said.out)
    assert told["drawn"] == ["table6"]
    assert told["damaged"] == 1
    assert told["out_dir"].startswith(str(artifacts))
    assert any(each["what"] == "Figure 9A" for each in told["missing"])


@pytest.mark.usefixtures("artifacts")
@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        ("nothing", "there is no such folder"),
        ("folder", "the folder is empty"),
        ("strange", "none of its 1 files is a log of the release's"),
        ("file", "there is no such folder"),
    ],
)
def test_what_is_no_such_folder_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: str, complaint: str
) -> None:
    given = tmp_path / make
    if make == "file":
        given.write_text("x")
    elif make != "nothing":
        given.mkdir()
    if make == "strange":
        (given / "a.bin").write_bytes(bytes(range(256)))
    assert main(["--from-release-logs", str(given), "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --from-release-logs {given}: {complaint}")


def test_one_command_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--from-release-logs", str(tmp_path), "--doctor"]) == 2
    assert "one command at a time" in capsys.readouterr().err
