"""What stands here for what the paper had: rows that fit the specs and the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.errors import SpecError
from experiments.paths import CHECKOUT
from experiments.report.substitutions import substitutions
from experiments.specs.load import SCALES, experiments

BELOW = [scale for scale in SCALES if scale != "paper"]


def dataset(experiment: str, scale: str) -> str:
    return str(experiments()[experiment].table[scale]["dataset"]["name"])


def test_every_row_leads_to_a_heading() -> None:
    text = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    for row in substitutions():
        assert row.docs in headings, row.id


def test_data_sets_are_those_of_the_experiments() -> None:
    rows = [row for row in substitutions() if row.experiments]
    assert rows
    for row in rows:
        below = {dataset(name, scale) for name in row.experiments for scale in BELOW}
        assert below == {*row.datasets}, row.id
        assert {dataset(name, "paper") for name in row.experiments} == {*row.paper_datasets}


def test_every_set_that_stands_in_has_a_row() -> None:
    told = {name for row in substitutions() for name in row.datasets}
    standing_in = {
        dataset(name, scale)
        for name in experiments()
        for scale in BELOW
        if dataset(name, scale) != dataset(name, "paper")
    }
    assert standing_in == told


def test_a_wrong_row_names_its_field(tmp_path: Path) -> None:
    file = tmp_path / "substitutions.toml"
    file.write_text('[disk]\nwhat = "disks"\n')
    with pytest.raises(SpecError, match=r"substitutions.toml: disk.paper: is missing"):
        substitutions(file)
