"""Protocols: what a row may say, and that every run carries its switches with it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from experiments.errors import SpecError
from experiments.specs import load
from experiments.specs.load import approaches, protocols, run_spec
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
        ({"storage": "zip"}, "other.storage = 'zip', not 'external' or 'lz4' or 'pglz'"),
        ({"storage": ["ctq"]}, "other.storage = ['ctq'], not 'external' or 'lz4' or 'pglz'"),
        ({"buffer_bytes": 0}, "other.buffer_bytes = 0: bytes, at least 1"),
        ({"caches": 1}, "other.caches = 1, not True or False or a list of approaches"),
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


def test_a_switch_may_be_on_for_some_approaches_only() -> None:
    listed = row(caches=["ctq", "ma"])
    assert Protocol.from_row("other", listed, "ma").caches
    assert not Protocol.from_row("other", listed, "udaf").caches
    assert not Protocol.from_row("other", listed).caches


def test_the_papers_protocol_is_what_each_approach_did() -> None:
    """Original release, sections 2.1 to 2.11."""
    passes = {name for name in approaches() if protocols(name)["paper"].training_set_pass}
    resets = {name for name in approaches() if protocols(name)["paper"].reset_optimizer}
    assert passes == {"ma", "udaf", "ctq"}
    assert resets == {"udaf", "ctq", "hyperopt-spark"}
    spec = run_spec("breakdown", "ctq", "smoke", protocol="paper")
    assert spec.protocol.mid_epoch_validation
    assert (spec.protocol.storage, spec.protocol.caches) == ("pglz", False)
    assert RunSpec.from_json(spec.to_json()) == spec
    assert not run_spec("breakdown", "ma", "smoke", protocol="paper").protocol.rebuild_on_hop


def rows_of(monkeypatch: pytest.MonkeyPatch, **rows: Any) -> None:
    read = load._read
    monkeypatch.setattr(load, "_read", lambda name: rows if name == "protocols" else read(name))


def test_a_row_like_another_has_what_it_does_not_say_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows_of(monkeypatch, one=row(), two={"like": "one", "storage": "lz4"})
    one, two = protocols().values()
    assert (two.name, two.storage, two.buffer_bytes) == ("two", "lz4", one.buffer_bytes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"like": "own"}, "own.like = 'own': there is no such row above it"),
        ({**row(), "caches": ["ctk"]}, "unknown approach in protocols.toml's own 'ctk': did you"),
    ],
)
def test_rows_that_do_not_hold_together_are_refused(
    changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of(monkeypatch, own=changes)
    with pytest.raises(SpecError) as error:
        protocols()
    assert message in str(error.value)
