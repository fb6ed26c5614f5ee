"""The page at the end of a command: written last, told last, and never in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.cli import reproduce
from experiments.cli.main import main
from experiments.errors import ReproduceError
from experiments.report import page

COMMAND = ["--figure", "loc", "--scale", "smoke", "--runtime", "local", "--quiet"]


@pytest.fixture(autouse=True)
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    return tmp_path


def test_it_is_told_last_also_when_nothing_is_to_be_done(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = artifacts / "report" / "index.html"
    assert main(COMMAND) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(written)
    written.unlink()
    assert main([*COMMAND, "--json", "--serve"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["page"] == str(written)
    assert "the report is at http://127.0.0.1:" in err
    assert "while this command runs" in err
    assert 'id="figure-loc"' in written.read_text(encoding="utf-8")


@pytest.mark.parametrize("error", [ReproduceError("no room"), KeyError("a bug")])
def test_a_page_that_cannot_be_made_costs_nothing(
    artifacts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fail(scale: str, waiting: object) -> str:
        raise error

    monkeypatch.setattr(page, "write", fail)
    assert main(COMMAND) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == str(artifacts / "figures" / "smoke" / "loc.csv")
    assert "the report's page was not written" in err
    assert str(error) in err


def test_it_is_written_when_the_command_fails(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ReproduceError("a run failed")

    monkeypatch.setattr(reproduce, "_carry_out", fail)
    assert main(COMMAND) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "failed: a run failed"
    assert (artifacts / "report" / "index.html").exists()
