"""Predicted against real times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.errors import DataError
from experiments.paths import Artifacts
from experiments.report.foretold import foretold, total


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    here = Artifacts(tmp_path)
    for name, ended in (("a", "00:01:40"), ("b", None)):
        run = here.run(name)
        run.root.mkdir(parents=True)
        run.run.write_text(json.dumps({"started": "2026-01-01T00:00:00+00:00"}))
        if ended:
            run.result.write_text(json.dumps({"finished": f"2026-01-01T{ended}+00:00"}))
    here.report.mkdir()
    rows = {
        "a": {"seconds": 125.0, "bytes": 1, "source": "2 runs of ctq"},
        "b": {"seconds": 50.0, "bytes": 1},
        "c": {"seconds": 20.0, "bytes": 1, "took_seconds": 16.0},
        "d": {"seconds": None, "bytes": 1, "took_seconds": 9.0},
    }
    here.predicted.write_text(json.dumps({"scale": "smoke", "runs": rows}))
    return here


def test_both_are_told_and_summed_where_both_are_known(artifacts: Artifacts) -> None:
    rows = foretold(artifacts)
    assert [(row.predicted, row.took) for row in rows] == [
        (125.0, 100.0),
        (50.0, None),
        (20.0, 16.0),
        (None, 9.0),
    ]
    assert rows[0].source == "2 runs of ctq"
    both = total(rows)
    assert (both.runs, both.predicted, both.took) == (2, 145.0, 116.0)
    assert both.error == pytest.approx(0.25)


def test_nothing_was_predicted(tmp_path: Path) -> None:
    assert foretold(Artifacts(tmp_path)) == []
    assert total([]).error == 0.0


def test_damage_is_told(artifacts: Artifacts) -> None:
    artifacts.predicted.write_text('{"runs": [1]}')
    with pytest.raises(DataError, match=r"predicted\.json is damaged"):
        foretold(artifacts)
