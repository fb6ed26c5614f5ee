"""A run is what its spec, its lock file and the code it uses say; a change is told by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.errors import DataError, SpecError
from experiments.paths import Artifacts
from experiments.runner import fingerprint
from experiments.runner.plan import RunState, plan, planned
from experiments.specs.load import grid, run_spec

SPEC = run_spec("breakdown", "ctq", "smoke")


def test_an_approach_counts_only_the_code_it_imports() -> None:
    inside = fingerprint.parts(SPEC)
    outside = fingerprint.parts(replace(SPEC, approach="cerebro-standalone"))
    assert "code of warehouse" in inside
    assert "code of warehouse" not in outside
    for parts in (inside, outside):
        assert {"spec", "lock", "code of mop", "code of models", "code of datasets"} <= set(parts)
        assert not {"code of cli", "code of analysis"} & set(parts)


def test_code_that_runs_inside_the_server_counts() -> None:
    found = fingerprint._extension_modules()
    assert {f"experiments.warehouse.{name}" for name in ("backend", "units", "procedure")} == {
        *found
    }


def test_every_field_of_the_spec_counts() -> None:
    base = fingerprint.parts(SPEC)
    assert fingerprint.parts(SPEC) == base
    others = (
        {"workers": 3},
        {"seed": 1},
        {"epochs": 9},
        {"policy": "round_robin"},
        {"dataset": replace(SPEC.dataset, train_rows=7)},
        {"configs": SPEC.configs[:1]},
    )
    for change in others:
        other = fingerprint.parts(replace(SPEC, **change))
        assert fingerprint.changed(base, other) == ["spec"]
        assert fingerprint.short(other) != fingerprint.short(base)


def test_a_plan_says_which_part_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    fresh = planned(SPEC)
    assert (fresh.state, fresh.reason) == (RunState.MISSING, "has not been run")
    old = {**fresh.parts, "code of mop": "was otherwise", "lock": "was otherwise"}
    folder = Artifacts().run(f"{fresh.name[:-8]}{fingerprint.short(old)}")
    folder.root.mkdir(parents=True)
    folder.run.write_text(json.dumps({"fingerprint": old}))
    folder.result.write_text(json.dumps({"seconds": {"train": 3.0}}))
    assert planned(SPEC).reason == "changed since the last run: code of mop, lock"
    current = fresh.folder
    current.root.mkdir(parents=True)
    current.run.write_text("{}")
    assert planned(SPEC).state is RunState.PARTIAL
    current.result.write_text(json.dumps({"seconds": {"train": 3.0, "etl": 1.0}}))
    done = planned(SPEC)
    assert (done.state, done.seconds) == (RunState.DONE, 4.0)
    again = planned(SPEC, fresh=True)
    assert (again.state, again.reason) == (RunState.MISSING, "--fresh: is done again")
    current.result.write_text("{}")
    with pytest.raises(DataError, match=r"result\.json is damaged: --fresh"):
        planned(SPEC)
    current.result.unlink()
    current.journal.write_text('garbage\n{"kind": "x"}\n')
    assert "line 1 is not a journal event" in planned(SPEC).reason


def test_the_grid_is_the_papers_in_the_releases_order() -> None:
    configs = grid("breakdown", "paper")
    assert len(configs) == len(set(configs)) == 16
    assert [config.architecture for config in configs] == ["resnet50"] * 8 + ["vgg16"] * 8
    assert [config.batch_size for config in configs[:8]] == [32] * 4 + [256] * 4
    assert len(grid("breakdown", "laptop")) == 16
    assert set(grid("breakdown", "smoke")) <= set(grid("breakdown", "laptop"))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SpecError, match="did you mean 'ctq'"):
        run_spec("breakdown", "ctqq", "smoke")
    with pytest.raises(SpecError, match="did you mean 'breakdown'"):
        plan(["breakdwn"], "smoke")
