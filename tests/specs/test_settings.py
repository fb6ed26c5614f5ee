"""Settings that only one approach has."""

from __future__ import annotations

from experiments.specs.load import approaches, run_spec
from experiments.specs.model import RunSpec


def test_a_scale_may_have_other_values_than_the_row() -> None:
    row = approaches()["cerebro-spark"]
    assert row.settings == {"polling_seconds": 2.0}
    polls = {
        scale: run_spec("breakdown", "cerebro-spark", scale).settings["polling_seconds"]
        for scale in ("smoke", "laptop", "paper")
    }
    assert polls == {"smoke": 0.05, "laptop": 2.0, "paper": 2.0}
    assert run_spec("breakdown", "ctq", "paper").settings == {}


def test_they_are_part_of_what_is_run() -> None:
    spec = run_spec("breakdown", "cerebro-spark", "smoke")
    assert RunSpec.from_json(spec.to_json()) == spec
