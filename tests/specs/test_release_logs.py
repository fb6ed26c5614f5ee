"""What the release's folders are: the real file holds together, wrong ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.errors import SpecError
from experiments.paths import SPECS
from experiments.specs import release_logs

REAL = (SPECS / "release_logs.toml").read_text()


def test_a_run_is_known_by_its_folder_or_by_its_stamp() -> None:
    logs = release_logs.load()
    known = {
        (stamp, folder): getattr(logs.approach_of(stamp, folder), "id", None)
        for stamp, folder in [
            ("2020_08_14_16_08_52", "anything"),
            ("2020_10_05_00_23_36", "cerebro"),
            ("2020_10_05_00_23_36", "anything"),
            ("2020_09_10_22_42_31", "udaf/model_size_s"),
            ("1999_01_01_00_00_00", "ma"),
        ]
    }
    assert list(known.values()) == ["da", "udaf", None, "udaf", "ma"]


def test_a_run_may_be_of_several_experiments() -> None:
    logs = release_logs.load()
    uses = {each.experiment.id: each.epochs for each in logs.uses("2020_08_14_16_08_52", "da")}
    assert uses == {"e2e-imagenet-2020": 10, "breakdown-imagenet": 10}
    (two,) = logs.uses("2020_09_27_19_51_25", "da")
    assert (two.experiment.id, two.workers, two.epochs) == ("scalability", 2, 1)


def test_no_folder_of_one_experiment_is_of_two_numbers_of_workers() -> None:
    for experiment in release_logs.load().experiments:
        named = [
            (approach, stamp)
            for runs in experiment.stamps.values()
            for approach, stamp in runs.items()
        ]
        assert len(named) == len(set(named)), experiment.id


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('is = "train_valid"', 'is = "training"', "'training' is none of train_valid"),
        ('events = "ranks"', 'events = "rank"', "has events 'rank', no rules"),
        ('etl = "loaded"', 'etl = "load"', "etl is 'load', none of"),
        ('{ udaf = "2021_03_19_21', '{ adaf = "2021_03_19_21', "heterogeneity names 'adaf'"),
        ("workers = 8\n", "", "cannot be used"),
    ],
)
def test_a_file_that_does_not_hold_together_is_refused(
    tmp_path: Path, before: str, after: str, complaint: str
) -> None:
    assert before in REAL
    path = tmp_path / "release_logs.toml"
    path.write_text(REAL.replace(before, after, 1))
    with pytest.raises(SpecError, match=complaint):
        release_logs.load(path)
