"""What predictions rest on: the derivations again, and which rows numbers were worked out from."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.errors import SpecError
from experiments.paths import SPECS
from experiments.specs import prediction
from experiments.specs.load import approaches, experiments, figures

TRAIN, VALID, WORKERS = 1_281_167, 50_000, 8
CRITEO_TRAIN, CRITEO_VALID = 12_993_256, 1_443_695
FILES_RESNET50_H = 36235 / WORKERS / 3600
"""Figure 10, W = 8: an epoch of training 8 configurations on bare files, a worker's hours."""


@pytest.fixture(scope="module")
def assumed() -> prediction.Assumptions:
    return prediction.load()


def test_evaluating_in_the_database_is_what_figure_15_has_beyond_training(
    assumed: prediction.Assumptions,
) -> None:
    share = (1.746620 / FILES_RESNET50_H - 1) / (1 + VALID / TRAIN)
    assert assumed.value("database-evaluation", "imagenet") == pytest.approx(share, rel=1e-3)


def test_scanning_is_what_figure_15s_udaf_has_beyond_its_components(
    assumed: prediction.Assumptions,
) -> None:
    hours = [
        5.816 / 3 - (1.225440 + 0.089653 + 0.000868 + 0.060671 + 0.001505),
        7.503 / 3 - (1.738137 + 0.123553 + 0.001065 + 0.071400 + 0.002049),
        15.582 / 3 - (4.136331 + 0.223113 + 0.001655 + 0.223924 + 0.005521),
        6.822 / 3 - (1.511204 + 0.194919 + 0.001840 + 0.009271 + 0.001400),
    ]
    scanned = 8 * (2 * TRAIN + VALID) / WORKERS * 150528
    per_byte = sum(hours) / 4 * 3600 / scanned
    assert assumed.value("scan", "imagenet") == pytest.approx(per_byte, rel=1e-3)


def test_criteos_numbers_are_the_releases_breakdown_and_figure_9c(
    assumed: prediction.Assumptions,
) -> None:
    scanned = 8 * (2 * CRITEO_TRAIN + CRITEO_VALID) / WORKERS * 29224
    assert assumed.value("scan", "criteo") == pytest.approx(0.637859 * 3600 / scanned, rel=1e-3)
    evaluation = assumed.value("database-evaluation", "criteo")
    assert evaluation == pytest.approx(1 / 3, rel=1e-3)
    on_files = 3.514 / (1 + evaluation * CRITEO_VALID / CRITEO_TRAIN)
    inside = 6.108 / (1 + evaluation * (1 + CRITEO_VALID / CRITEO_TRAIN))
    factor = assumed.value("database-training", "criteo")
    assert factor == pytest.approx(inside / on_files, rel=1e-3)


def test_what_needs_no_derivation(assumed: prediction.Assumptions) -> None:
    assert assumed.value("torchvision-vgg16", "imagenet") == 4 * 138_357_544
    assert assumed.value("goodput") == pytest.approx(1448 / 1538, abs=1e-4)
    with pytest.raises(SpecError, match="no value of 'scan' for any data"):
        assumed.value("scan")


@pytest.mark.parametrize(
    ("dataset", "row", "table", "fitted"),
    [
        ("imagenet", "DA-Cerebro", "table6-imagenet", {"batch-sizes"}),
        ("imagenet", "DA-Cerebro", "9b", {"batch-sizes"}),
        ("imagenet", "CTQ", "table6-imagenet", set()),
        ("imagenet", "Cerebro-Spark", "10a", {"resnet50"}),
        ("imagenet", "PyTDDP", "table6-imagenet", set()),
        ("criteo", "CTQ", "table6-criteo", {"confA", "database-training-criteo"}),
        ("criteo", "DA-Cerebro", "9c", {"confA"}),
        ("criteo", "UDAF", "table6-criteo", set()),
    ],
)
def test_inputs_that_were_worked_out_from_the_row_they_predict(
    assumed: prediction.Assumptions, dataset: str, row: str, table: str, fitted: set[str]
) -> None:
    used = assumed.used(dataset, assumed.rows[row].way)
    assert {each.id for each in used if f"{table}/{row}" in each.fitted} == fitted


def test_every_name_in_the_file_exists(assumed: prediction.Assumptions) -> None:
    for row in assumed.rows.values():
        assert set(row.approaches.values()) <= set(approaches())
    for claim in assumed.claims:
        assert {claim.faster, claim.slower} <= set(assumed.rows)
        assert claim.experiment in {None, *experiments()}
    assert {each.experiment for each in assumed.datasets.values()} <= set(experiments())
    assert {"table6-predicted", "sensitivity"} <= set(figures())


def test_a_claim_that_two_are_alike_holds_on_both_sides(
    assumed: prediction.Assumptions,
) -> None:
    faster, alike = (
        next(each for each in assumed.claims if (each.close is None) == known)
        for known in (True, False)
    )
    assert faster.holds(1.0, 1.1)
    assert not faster.holds(1.1, 1.0)
    assert alike.close == 0.1
    assert alike.holds(1.09, 1.0)
    assert alike.holds(1.0, 1.09)
    assert not alike.holds(1.0, 1.2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "paper"', 'kind = "guess"', "kind of .* is 'guess'"),
        ('ways = ["ranks"]', 'ways = ["rank"]', "a way of .* is 'rank'"),
        ('scheduling = "barriers"', 'scheduling = "barrier"', "scheduling of UDAF is 'barrier'"),
        ('faster = "MA"', 'faster = "AM"', "a row of 'MA faster than .*' is 'AM'"),
        ('data = "criteo"', 'data = "crito"', "data of .* is 'crito'"),
    ],
)
def test_names_that_do_not_exist_are_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (SPECS / "prediction.toml").read_text()
    assert old in text
    path = tmp_path / "prediction.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(SpecError, match=rf"prediction\.toml: {message}"):
        prediction.load(path)
