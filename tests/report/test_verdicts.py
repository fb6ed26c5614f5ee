"""``verdicts.json``, and what two of them differ in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.errors import DataError
from experiments.report import compare, verdicts
from experiments.report.judge import judge
from experiments.report.verdict import Outcome
from experiments.report.verdicts import Judgement
from experiments.specs import claims as specs
from tests.report.planned_runs import paced


@pytest.fixture
def judged(tmp_path: Path) -> Judgement:
    runs = paced(tmp_path / "runs", "e2e-criteo", {"udaf": 28.0, "da-cerebro": 10.0})
    about = {"version": "0.1", "machine": {"cores": 2}, "packages": {"numpy": "2.4.6"}}
    for run in runs:
        (run.folder / "run.json").write_text(json.dumps(about))
    return verdicts.judgement(judge(specs.load(), runs), runs, "smoke")


def test_what_was_judged_comes_back(judged: Judgement, tmp_path: Path) -> None:
    path = tmp_path / "artifacts" / "report" / "verdicts.json"
    verdicts.write(path, judged)
    again = verdicts.read(path)
    assert json.dumps(again.to_json()) == json.dumps(judged.to_json())
    assert again.counts == judged.counts
    assert sum(again.counts.values()) == 53
    assert judged.settings["cores"] == ("2",)
    assert judged.settings["numpy"] == ("2.4.6",)
    assert judged.settings["workers of e2e-criteo"] == ("2",)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"scale": "smoke", "made": "", "verdicts": 1}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "verdicts.json"
    path.write_text(text)
    with pytest.raises(DataError, match=str(path)):
        verdicts.read(path)


def test_two_machines_differ_in_verdicts_and_settings(judged: Judgement) -> None:
    changed = [
        replace(v, outcome=Outcome.CONTRADICTED) if v.claim == "3" else v for v in judged.verdicts
    ]
    other = Judgement(
        "smoke",
        judged.made,
        tuple(v for v in changed if v.claim != "53"),
        {**judged.settings, "cores": ("64",), "devices": ("P100",)},
    )
    found = compare.compare(judged, other)
    assert [(each.claim, each.first, each.second) for each in found.claims] == [
        ("3", Outcome.REPRODUCED, Outcome.CONTRADICTED),
        ("53", Outcome.NOT_MEASURABLE, None),
    ]
    assert found.same == 51
    assert found.settings == {"cores": ("2", "64"), "devices": ("–", "P100")}
    assert compare.compare(judged, judged).claims == ()


def test_a_folder_means_the_verdicts_in_it(judged: Judgement, tmp_path: Path) -> None:
    written = tmp_path / "other" / "artifacts" / "report" / "verdicts.json"
    verdicts.write(written, judged)
    for folder in (written, written.parent, written.parent.parent, tmp_path / "other"):
        assert compare.find(folder) == written


def test_a_name_that_is_not_there_gets_the_nearest(judged: Judgement, tmp_path: Path) -> None:
    verdicts.write(tmp_path / "archive" / "report" / "verdicts.json", judged)
    (tmp_path / "archives").mkdir()  # nothing in it to compare
    with pytest.raises(DataError, match=r"did you mean 'archive'\? there are archive$"):
        compare.find(tmp_path / "archiv")
    with pytest.raises(DataError, match="--verify writes it"):
        compare.find(tmp_path / "archives")
    with pytest.raises(DataError, match="is not there"):
        compare.find(tmp_path / "nowhere" / "archive")
