"""A machine that takes its time by a rule is predicted; what it never did is unknown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.datasets import is_prepared
from experiments.models.pilot import line
from experiments.runner import estimate, needs
from experiments.runner.estimate import Estimator
from experiments.runner.plan import RunState, planned
from experiments.runner.seen import seen
from experiments.runner.short_runs import short_runs
from experiments.specs.load import run_spec
from experiments.specs.model import RunSpec
from tests.runner.timed_runs import BEGAN, Machine, spec_of

MACHINE = Machine()


def estimator(folder: Path, *specs: RunSpec) -> Estimator:
    """One that has seen these runs, each at once after the one before."""
    clock = BEGAN
    for spec in (*specs, specs[0]):  # the last one's end is not seen
        MACHINE.write(folder, spec, clock)
        clock += sum(MACHINE.parts(spec).values())
    return Estimator(seen(folder.iterdir())[: len(specs)], {})


def real(spec: RunSpec) -> float:
    return sum(MACHINE.parts(spec).values())


def test_a_run_that_was_done_takes_as_long_as_then(tmp_path: Path) -> None:
    told = estimator(tmp_path, spec_of(seed=1), spec_of(seed=2)).run(spec_of(seed=3), "local")
    assert told.seconds == pytest.approx(real(spec_of()), abs=0.01)
    assert told.source == "2 earlier runs of it"


@pytest.mark.parametrize(
    "wanted",
    [spec_of(rows=6000), spec_of(epochs=5), spec_of(workers=4), spec_of("udaf", rows=1200)],
    ids=["rows", "epochs", "workers", "like"],
)
def test_others_are_put_together_from_parts(tmp_path: Path, wanted: RunSpec) -> None:
    donors = [spec_of(rows=800), spec_of(rows=3200), spec_of(workers=8), spec_of(epochs=2)]
    told = estimator(tmp_path, *donors).run(wanted, "local", prepared=True)
    assert told.seconds == pytest.approx(real(wanted), rel=0.1)
    assert told.source.startswith("4 runs of ")
    assert told.seconds == pytest.approx(sum(told.parts.values()))


def test_batches_of_another_size_are_told_from_rows(tmp_path: Path) -> None:
    spec = spec_of(rows=2400)
    mixed = tuple(
        replace(config, batch_size=size)
        for config, size in zip(spec.configs, (32, 64, 128, 256), strict=True)
    )
    donors = [replace(spec, configs=mixed), replace(spec, configs=mixed[::-1], epochs=2)]
    small = replace(spec, configs=tuple(replace(config, batch_size=16) for config in mixed))
    told = estimator(tmp_path, *donors).run(small, "local", prepared=True)
    units = MACHINE.parts(small)["epochs"]
    assert told.parts["units"] + told.parts["beside"] == pytest.approx(units, rel=0.15)


def test_waiting_for_a_device_is_worked_out(tmp_path: Path) -> None:
    wanted = run_spec("stragglers", "ctq", "smoke")
    assert wanted.emulation is not None
    told = estimator(tmp_path, spec_of(rows=800)).run(wanted, "local", prepared=True)
    model = wanted.emulation.models["resnet50"]
    rows = wanted.dataset.train_rows // wanted.workers
    least = model.unit_seconds("train", rows, 32) / model.speedup * len(wanted.configs)
    assert told.parts["units"] > least
    assert told.parts["units"] == pytest.approx(least, rel=0.1), "validation is little"


@pytest.mark.parametrize(
    ("approach", "prepared", "words"),
    [
        ("hyperopt-spark", True, "nothing like hyperopt-spark has run here yet: give --pilot"),
        ("cerebro-spark", True, "it is known after its first run"),
    ],
)
def test_what_never_ran_here_is_unknown(
    tmp_path: Path, approach: str, prepared: bool, words: str
) -> None:
    wanted = run_spec("search", approach, "smoke", workers=2)
    told = estimator(tmp_path, spec_of()).run(wanted, "local", prepared=prepared)
    assert told.seconds is None
    assert words in told.source


def test_data_and_models_that_were_not_measured_are_named(tmp_path: Path) -> None:
    known = estimator(tmp_path, spec_of())
    flights = run_spec("e2e-flights", "ctq", "smoke", workers=2)
    assert "data set flights has not been prepared" in known.run(flights, "local").source
    told = known.run(run_spec("search", "ctq", "smoke", workers=2), "local", prepared=True)
    assert told.seconds is None
    assert "resnet18-tiny on fashion-mnist has not been measured" in told.source
    row = {"train_row": 1e-3, "train_batch": 0.0, "valid_row": 1e-3, "valid_batch": 0.0}
    measured = dict.fromkeys(("resnet18-tiny", "resnet34-tiny"), row)
    piloted = Estimator(seen(tmp_path.iterdir()), {"fashion-mnist": measured})
    told = piloted.run(run_spec("search", "ctq", "smoke", workers=2), "local", prepared=True)
    assert told.seconds is not None
    assert line((2, 6), (3.0, 7.0)) == (1.0, 1.0), "what the rows of the pilot are"


def test_data_that_were_not_read_yet_are_named(tmp_path: Path) -> None:
    told = estimator(tmp_path, spec_of()).run(run_spec("breakdown", "ctq", "paper"), "local")
    assert (told.seconds, told.bytes) == (None, None)
    assert "imagenet has not been read yet" in told.source


def test_unknown_runs_are_left_out_of_the_total(tmp_path: Path) -> None:
    known = estimator(tmp_path, spec_of())
    told = known.run(spec_of(), "local")
    missing = known.run(run_spec("search", "hyperopt-spark", "smoke", workers=2), "local")
    assert estimate.total([told, missing]) == told.seconds


def test_disk_is_the_data_that_are_missing_and_the_largest_copies() -> None:
    small, large = spec_of(rows=1200), spec_of(rows=4800)
    assert not is_prepared(small.dataset, 2, small.seed)
    both = needs.data_bytes(small) + needs.data_bytes(large) + needs.copied_bytes(large)
    assert needs.disk_bytes([small, large, large]) == both
    assert needs.disk_bytes([]) == 0


def test_short_runs_are_one_for_each_kind_of_approach_and_data_set() -> None:
    approaches = ("ctq", "udaf", "ma", "cerebro-standalone", "pytorch-ddp", "cerebro-spark")
    specs = [spec_of(name) for name in approaches]
    specs.append(run_spec("e2e-flights", "udaf", "smoke", workers=2))
    runs = short_runs(specs, "local")
    kinds = [(run.spec.approach, run.spec.dataset.name) for run in runs]
    assert kinds == [
        ("ctq", "fashion-mnist"),
        ("cerebro-standalone", "fashion-mnist"),
        ("pytorch-ddp", "fashion-mnist"),
        ("udaf", "flights"),
    ]
    assert all(len(run.spec.configs) == run.spec.epochs == 1 for run in runs)
    assert {run.state for run in runs} == {RunState.MISSING}
    assert all(run.name.startswith("pilot-") for run in runs)


def test_a_data_set_is_prepared_once_in_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    MACHINE.write(tmp_path / "runs", spec_of("ctq"))
    asked: list[bool | None] = []
    plain = Estimator.run

    def run(self: Estimator, *given: object, prepared: bool | None = None) -> estimate.Estimate:
        asked.append(prepared)
        return plain(self, *given, prepared=prepared)  # type: ignore[arg-type]

    monkeypatch.setattr(Estimator, "run", run)
    told = estimate.predict([planned(spec_of(name, seed=5)) for name in ("ctq", "udaf", "ma")])
    assert asked == [None, True, True]
    assert all(each.seconds for each in told.values())
