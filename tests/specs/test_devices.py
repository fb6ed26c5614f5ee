"""The device table: its numbers follow from the paper's, and what it lacks is said in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.errors import DataError, SpecError
from experiments.paths import state
from experiments.specs import devices
from experiments.specs.emulation import EmulatedModel
from experiments.specs.load import run_spec
from experiments.specs.model import RunSpec

ROWS, VALID_ROWS = 1_281_167, 50_000
WORKERS = 8


@pytest.fixture
def pilot_file() -> Iterator[Path]:
    """Where a pilot's findings would lie; nothing is there before and after."""
    path = state().pilot
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


def emulated(architecture: str = "resnet50", name: str = "p100") -> EmulatedModel:
    found = devices.emulation(name, {architecture: 32}, dataset="imagenet")
    return found.models[architecture]


def per_row(model: EmulatedModel, batch: int) -> float:
    """Modelled seconds of training for each row."""
    return model.batch_seconds("train", batch) / batch


def test_resnet50_is_what_figure_10_measured() -> None:
    model = emulated()
    assert 8 * ROWS * per_row(model, 32) == pytest.approx(36235, rel=1e-3)
    assert 8 * VALID_ROWS * model.batch_seconds("valid", 32) / 32 == pytest.approx(1155, rel=1e-3)


@pytest.mark.parametrize(
    ("architecture", "hours"),
    [("vgg16", 1.527303), ("resnet152", 4.139225), ("mobilenetv2", 1.258484)],
)
def test_others_are_to_resnet50_as_in_figure_15(architecture: str, hours: float) -> None:
    ratio = per_row(emulated(architecture), 32) / per_row(emulated(), 32)
    assert ratio == pytest.approx(hours / 1.746620, rel=1e-3)


def test_the_batch_sizes_together_take_what_figure_9b_says() -> None:
    seconds = sum(
        4
        * (ROWS * per_row(model, batch) + VALID_ROWS * model.batch_seconds("valid", batch) / batch)
        for model in (emulated("vgg16"), emulated("resnet50"))
        for batch in (32, 256)
    )
    assert seconds / WORKERS / 3600 == pytest.approx(2.11075, rel=1e-3)


def test_criteo_takes_what_figure_9c_says() -> None:
    model = emulated("confA")
    seconds = sum(
        4 * 12_993_256 * per_row(model, batch)
        + 4 * 1_443_695 * model.batch_seconds("valid", batch) / batch
        for batch in (32, 64, 256, 512)
    )
    assert seconds / WORKERS / 3600 == pytest.approx(3.514, rel=1e-3)


def test_the_slow_and_the_fast_model_are_as_in_figure_11a() -> None:
    ratio = per_row(emulated("nasnetmobile"), 4) / per_row(emulated("mobilenetv2"), 128)
    assert ratio == pytest.approx(7.942693, rel=1e-3)


def test_the_search_takes_what_figure_12_says_though_nothing_was_fitted_to_it() -> None:
    """32 configs of 10 epochs, batches of 16 to 256, the random scheduler's 6.72 of 8 workers."""
    seconds = sum(
        16 * 10 * (ROWS + 0.8168 * VALID_ROWS) * per_row(model, batch) / 241
        for model in (emulated("resnet18"), emulated("resnet34"))
        for batch in range(16, 257)
    )
    assert 30.2 < seconds / 6.72 / 3600 < 34.5


def test_sizes_of_states_are_those_of_figure_15() -> None:
    for architecture, mebibytes in (("resnet50", 294), ("resnet152", 693)):
        assert emulated(architecture).state_bytes / 2**20 == pytest.approx(mebibytes, rel=0.005)


def test_scaled_devices_follow_the_slower_of_arithmetic_and_memory() -> None:
    p100, t4, a100 = (emulated(name=name) for name in ("p100", "t4", "a100"))
    assert t4.train_row_seconds / p100.train_row_seconds == pytest.approx(732 / 320)
    assert a100.train_row_seconds / p100.train_row_seconds == pytest.approx(9.3 / 19.5)
    assert {t4.train_batch_seconds, a100.train_batch_seconds} == {p100.train_batch_seconds}
    assert all(row.source == "scaled" for row in devices.device("t4").rows.values())


def test_a_unit_is_its_batches_and_the_state_that_comes_and_goes() -> None:
    model = emulated()
    batches = [32, 32, 32, 4]
    for kind, transfers in (("train", 2), ("valid", 1)):
        seconds = sum(model.batch_seconds(kind, rows) for rows in batches)
        seconds += transfers * model.transfer_seconds
        assert model.unit_seconds(kind, 100, 32) == pytest.approx(seconds)


def test_ranks_wait_for_the_ring_where_it_is_slower_than_they_are() -> None:
    model = emulated("vgg16")
    ring = 2 * 7 / 8 * 4 * 54_471_464 / 1.25e9
    assert model.together_seconds(4, 8) == pytest.approx(ring)
    assert model.together_seconds(256, 8) == model.batch_seconds("train", 256) > ring


def test_only_the_state_shrinks_with_the_scale() -> None:
    whole, part = (
        devices.emulation("p100", {"resnet50": 32}, dataset="", state_fraction=each)
        for each in (1.0, 0.1)
    )
    assert part.models["resnet50"].state_bytes == pytest.approx(
        whole.models["resnet50"].state_bytes / 10, rel=1e-6
    )
    for what in ("gradient_bytes", "transfer_seconds", "fixed_bytes", "train_row_seconds"):
        assert getattr(part.models["resnet50"], what) == getattr(whole.models["resnet50"], what)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("p10", "unknown device 'p10': did you mean 'p100'?"),
        ("v100", "unknown device 'v100'.*there are a100, p100, t4, this"),
    ],
)
def test_an_unknown_device(name: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        run_spec("breakdown", "ctq", "smoke", device=name)


def test_an_architecture_that_a_device_lacks() -> None:
    with pytest.raises(SpecError, match=r"device 't4' lacks confA: it has resnet50, .*--device"):
        run_spec("e2e-criteo", "ctq", "smoke", device="t4")


def test_a_batch_that_does_not_fit_into_a_devices_memory() -> None:
    with pytest.raises(SpecError, match=r"resnet50 with batches of 512 takes .* has 16.0 GiB"):
        devices.emulation("p100", {"resnet50": 512}, dataset="imagenet")
    devices.emulation("a100", {"resnet50": 512}, dataset="imagenet")


@pytest.mark.parametrize("speedup", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_up_that_is_none(speedup: float) -> None:
    with pytest.raises(SpecError, match=r"--speedup .*: must be positive and finite"):
        run_spec("breakdown", "ctq", "smoke", device="p100", speedup=speedup)


def test_a_speed_up_that_nothing_could_hold() -> None:
    with pytest.raises(SpecError, match=r"--speedup 1e\+06 cannot be held: .* use (\d+) or less"):
        run_spec("breakdown", "ctq", "smoke", device="p100", speedup=1e6)


def test_an_emulated_run_has_the_papers_own_models_and_all_that_the_table_says_of_them() -> None:
    spec = run_spec("search", "ctq", "smoke", device="p100", speedup=10)
    assert spec.evidence == "emulated"
    assert spec.emulation is not None
    assert set(spec.emulation.models) == {"resnet18", "resnet34"}
    assert RunSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert run_spec("search", "ctq", "smoke").evidence == "measured"


def test_this_machine_has_to_be_measured_first(pilot_file: Path) -> None:
    with pytest.raises(SpecError, match=r"'this' has not been measured: .* --pilot"):
        run_spec("breakdown", "ctq", "smoke", device="this")
    pilot_file.write_text("{")
    with pytest.raises(DataError, match=r"this-device\.json: cannot be used .* --pilot"):
        run_spec("breakdown", "ctq", "smoke", device="this")


def test_this_machine_is_as_it_was_measured_with_what_stands_in(pilot_file: Path) -> None:
    row = replace(devices.device("p100").rows["resnet50"], train_row=1.0, row_bytes=0.0)
    found = {
        "title": "here",
        "memory_bytes": 2**40,
        "network_bytes_per_second": 1e9,
        "models": {"fashion-mnist": {"vgg-tiny": vars(row)}},
    }
    pilot_file.write_text(json.dumps(found))
    with pytest.raises(SpecError, match="was not measured with resnet-tiny on fashion-mnist"):
        run_spec("breakdown", "ctq", "smoke", device="this")
    found["models"] = {"fashion-mnist": {name: vars(row) for name in ("vgg-tiny", "resnet-tiny")}}
    pilot_file.write_text(json.dumps(found))
    spec = run_spec("breakdown", "ctq", "smoke", device="this")
    assert spec.emulation is not None
    assert spec.emulation.models["vgg-tiny"].train_row_seconds == 1.0
