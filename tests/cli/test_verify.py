"""``--verify`` and ``--compare`` on runs that lie where the plan expects them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.paths import Artifacts
from experiments.runner.plan import plan
from experiments.specs import claims as specs
from tests.analysis.synthetic_runs import SECOND, STANDALONE_S, typical, write_run

VERIFY = ["--verify", "--scale", "smoke", "--runtime", "local"]
IN_DBMS = ("ma", "udaf", "ctq")


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return Artifacts(tmp_path)


def finished(artifacts: Artifacts, experiment: str, packed: int, read: int) -> list[Path]:
    """Finished runs of the in-DBMS approaches that read so many bytes of a packed table."""
    folders = []
    for planned in plan([experiment], "smoke"):
        if planned.spec.approach not in IN_DBMS:
            continue
        folder = artifacts.run(planned.name)
        write_run(folder.root, planned.spec, typical(planned.spec, STANDALONE_S))
        folder.run.write_text(json.dumps({"machine": {"cores": 2}, "version": "1"}))
        for phase, size in (("etl.pack", packed), ("data_transmission", read)):
            line = {"kind": "span", "run": planned.name, "wall": 0.0, "mono_ns": 0, "phase": phase}
            line |= {"start_ns": 0, "end_ns": SECOND, "bytes": size}
            with folder.journal.open("a") as lines:
                lines.write(json.dumps(line) + "\n")
        folders.append(folder.root)
    return folders


def both(artifacts: Artifacts, packed: int, read: int) -> list[Path]:
    return [
        folder
        for name in ("e2e-imagenet", "e2e-criteo")
        for folder in finished(artifacts, name, packed, read)
    ]


def test_without_runs_all_53_have_a_verdict(
    artifacts: Artifacts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*VERIFY, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(artifacts.verdicts.read_text())
    assert len(told["verdicts"]) == 53
    assert all(each["reason"] for each in told["verdicts"])
    assert told["scale"] == "smoke"
    assert told["counts"]["reproduced"] == 1  # lines of code need no runs


def test_the_table_has_claim_outcome_and_reason(
    artifacts: Artifacts, capsys: pytest.CaptureFixture[str]
) -> None:
    only_claim_16_can_be_judged(artifacts, read=1000)
    main(VERIFY)
    told = " ".join(capsys.readouterr().out.split())
    assert "In-DBMS approaches read their" in told
    assert "All 6 comparisons: holds. One run each; spread unknown." in told
    assert "53 claims: " in told
    assert str(artifacts.verdicts) in told


def only_claim_16_can_be_judged(artifacts: Artifacts, read: int) -> None:
    both(artifacts, packed=1000, read=read)


@pytest.mark.parametrize(
    ("read", "outcome", "code"), [(1000, "reproduced", 0), (2000, "contradicted", 1)]
)
def test_strict_makes_a_contradiction_an_exit_code(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch, read: int, outcome: str, code: int
) -> None:
    every = specs.load()
    only = replace(every, claims={"16": every.claims["16"]})
    monkeypatch.setattr(specs, "load", lambda: only)
    only_claim_16_can_be_judged(artifacts, read)
    assert main(VERIFY) == 0  # whatever the verdicts
    (verdict,) = json.loads(artifacts.verdicts.read_text())["verdicts"]
    assert verdict["outcome"] == outcome
    assert main([*VERIFY, "--strict"]) == code


def test_a_damaged_journal_is_named_and_nothing_is_written(
    artifacts: Artifacts, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, *_ = both(artifacts, 1000, 1000)
    journal = artifacts.run(folder.name).journal
    journal.write_text("not JSON\n" + journal.read_text())
    assert main(VERIFY) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"failed: no verdicts: {journal}: line 1")
    assert not artifacts.verdicts.exists()


def test_options_that_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--strict", "--figure", "9b"]) == 2
    assert "--strict goes with --verify" in capsys.readouterr().err
    assert main([*VERIFY, "--figure", "9b"]) == 2
    assert "one command at a time" in capsys.readouterr().err
    assert main(["--verify", "--scale", "smok"]) == 2
    assert "did you mean 'smoke'" in capsys.readouterr().err


def test_two_machines_are_compared(
    artifacts: Artifacts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*VERIFY, "--json"])
    first = tmp_path / "first.json"
    first.write_text(artifacts.verdicts.read_text())
    only_claim_16_can_be_judged(artifacts, read=1000)
    main([*VERIFY, "--json"])
    capsys.readouterr()
    assert main(["--compare", str(first), str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert " 16. In-DBMS approaches read their pages once" in told
    assert f"not run: {first}" in told
    assert f"reproduced: {tmp_path}" in told
    assert "cores: – | 2" in told
    assert main(["--compare", str(first), str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (sixteen,) = [each for each in found["claims"] if each["claim"] == "16"]
    assert (sixteen["first"], sixteen["second"]) == ("not run", "reproduced")
    assert found["settings"]["cores"] == ["–", "2"]


def test_what_cannot_be_compared_is_told_in_one_line(
    artifacts: Artifacts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "machine-a.json").write_text("{}")
    assert main(["--compare", str(tmp_path / "machine-b.json"), str(tmp_path)]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "did you mean 'machine-a.json'" in told
