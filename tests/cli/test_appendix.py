"""docs/artifact.md fits the specs and what was measured, on whatever machine this is asked."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.cli import appendix
from experiments.paths import APPENDIX, TIMES, Artifacts
from experiments.runner.plan import plan
from experiments.specs import claims
from experiments.specs.load import experiments
from tests.runner.timed_runs import Machine, spec_of


def test_the_page_fits_the_specs() -> None:
    """If this fails: ``reproduce.py --readme --scale …``, or what docs/architecture.md says."""
    assert list(appendix.problems()) == []


@pytest.fixture
def copy(tmp_path: Path) -> tuple[Path, Path]:
    shutil.copy(APPENDIX, tmp_path)
    shutil.copy(TIMES, tmp_path)
    return tmp_path / APPENDIX.name, tmp_path / TIMES.name


def test_another_machine_does_not_make_it_stale(
    copy: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 96)
    assert list(appendix.problems(*copy)) == []


@pytest.mark.parametrize("section", [appendix.EXPERIMENTS, appendix.CLAIMS])
def test_a_table_that_was_edited_is_told(copy: tuple[Path, Path], section: str) -> None:
    page, times = copy
    mark = f"<!-- {section} -->\n"
    page.write_text(page.read_text().replace(mark, f"{mark}| mine |\n"))
    (line,) = appendix.problems(page, times)
    assert "give --readme" in line


def test_other_times_make_it_stale_until_it_is_rewritten(
    copy: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path / "artifacts"))
    page, times = copy
    known = json.loads(times.read_text())
    known["smoke"] = {"machine": "an abacus", "experiments": {}}
    times.write_text(json.dumps(known))
    assert len(list(appendix.problems(page, times))) == 1
    Machine().write(Artifacts().runs, spec_of("ctq"))
    assert appendix.rewrite("smoke", "local", page, times) == [times, page]
    assert list(appendix.problems(page, times)) == []
    assert "an abacus" not in page.read_text()
    told = json.loads(times.read_text())["smoke"]["experiments"]["stragglers"]
    assert (told["runs"], told["source"]) == (len(plan(["stragglers"], "smoke")), "predicted")
    assert told["seconds"] > 0 < told["bytes"]


def test_finished_runs_count_as_they_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    total = 0.0
    for run in plan(["barriers"], "smoke"):
        made = Machine().write(tmp_path / "made", run.spec)
        shutil.copytree(made, run.folder.root)
        result = json.loads(run.folder.result.read_text())
        run.folder.result.write_text(json.dumps({**result, "run": run.name, "seconds": {}}))
        total += sum(Machine().parts(run.spec).values()) - Machine().stop
    told = appendix.measured("smoke", "local")["experiments"]["barriers"]
    assert told["source"] == "measured"
    assert told["seconds"] == pytest.approx(total, abs=0.1)


def test_claims_stand_with_their_experiments() -> None:
    one = claims.load().claims["1"]
    rows = [
        replace(one, title="DA is fastest", place="Table 6", needs=("e2e-imagenet", "e2e-criteo")),
        replace(one, id="2", title="governance", place="Section 4", needs=(), figures=()),
    ]
    table = appendix.experiments_table({}, rows).splitlines()
    (line,) = (each for each in table if each.startswith("| `e2e-criteo` |"))
    assert line.split(" | ")[2] == "1"
    assert line.endswith("| not known yet | not known yet |")
    assert len(table) == 2 + len(experiments())
    assert appendix.claims_table(rows).splitlines()[2:] == [
        "| 1 | DA is fastest | Table 6 | `e2e-imagenet`, `e2e-criteo` | `table6` |",
        "| 2 | governance | Section 4 | none | none |",
    ]
