"""Figures are drawn again from a crate alone, and what differs is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from experiments.paths import Artifacts
from experiments.report.rebuild import difference, rebuild


def test_the_same_runs_draw_the_same_numbers(
    artifacts: Artifacts, notebooks_at: Path, tmp_path: Path
) -> None:
    before = os.environ.get("CEREBRO_DS_ARTIFACTS")
    (again,) = rebuild(artifacts.root, tmp_path / "again", notebooks_at)
    assert (again.figure, again.scale, again.problem) == ("tiny", "smoke", None)
    assert (tmp_path / "again" / "figures" / "smoke" / "tiny.csv").is_file()
    assert os.environ.get("CEREBRO_DS_ARTIFACTS") == before


def test_other_numbers_are_told_by_their_line(
    artifacts: Artifacts, notebooks_at: Path, tmp_path: Path
) -> None:
    table = artifacts.figures("smoke") / "tiny.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], "ctq,1", *lines[2:]]) + "\n")
    (again,) = rebuild(artifacts.root, tmp_path / "again", notebooks_at)
    assert again.problem == f"tiny.csv differs in line 2: 'ctq,1', rebuilt {lines[1]!r}"


def test_a_figure_that_cannot_be_drawn_does_not_keep_others(
    artifacts: Artifacts, notebooks_at: Path, tmp_path: Path
) -> None:
    sidecar = artifacts.figures("smoke") / "tiny.json"
    said = json.loads(sidecar.read_text())
    outputs = {}
    for suffix in ("png", "pdf", "csv"):
        (sidecar.parent / f"absent.{suffix}").write_text("")
        outputs[f"absent.{suffix}"] = ""
    (sidecar.parent / "absent.json").write_text(json.dumps({**said, "outputs": outputs}))
    absent, tiny = rebuild(artifacts.root, tmp_path / "again", notebooks_at)
    assert absent.problem is not None
    assert "there is no notebook" in absent.problem
    assert tiny.problem is None


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("a\nb\n", "a\nb\n", None),
        ("a\nb\n", "a\n", "one.csv differs in line 2: 'b', rebuilt no such line"),
        ("a\n", "a\nb\n", "one.csv differs in line 2: no such line, rebuilt 'b'"),
    ],
)
def test_differences(tmp_path: Path, one: str, other: str, words: str | None) -> None:
    for name, text in (("one.csv", one), ("other.csv", other)):
        (tmp_path / name).write_text(text)
    assert difference(tmp_path / "one.csv", tmp_path / "other.csv") == words
