"""Protocols: what a row may say, and that every run carries its switches with it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from experiments.errors import SpecError
from experiments.specs.load import protocols, run_spec
from experiments.specs.model import RunSpec
from experiments.specs.protocol import Protocol


def row(**changes: Any) -> dict[str, Any]:
    switches = asdict(protocols()["equal"]) | changes
    del switches["name"]
    return {name: value for name, value in switches.items() if value is not None}


def test_a_row_is_read_as_written() -> None:
    assert Protocol.from_row("other", row(storage="lz4", caches=False)).storage == "lz4"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"storage": "zip"}, "other.storage = 'zip': this version knows 'external' or 'lz4' or"),
        ({"training_set_pass": True}, "other.training_set_pass = True: this version knows False"),
        ({"buffer_bytes": 0}, "other.buffer_bytes = 0: bytes, at least 1"),
        ({"caches": 1}, "other.caches = 1: this version knows True or False"),
        ({"cache": True}, "other.cache is not a switch"),
        ({"caches": None}, "other.caches is missing"),
    ],
)
def test_a_row_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as error:
        Protocol.from_row("other", row(**changes))
    assert message in str(error.value)


def test_a_runs_switches_are_part_of_its_specification() -> None:
    spec = run_spec("breakdown", "ctq", "smoke")
    assert spec.to_json()["protocol"]["buffer_bytes"] == 4 * 2**20
    assert RunSpec.from_json(spec.to_json()) == spec
