"""Predictions worked by hand: two alike models on two workers with two rows each."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from experiments.analysis.prediction import epoch
from experiments.analysis.pricing import PAPER, Job, Prices, Speeds
from experiments.analysis.rates import Rates
from experiments.errors import SpecError
from experiments.specs.emulation import EmulatedModel
from experiments.specs.model import ModelConfig
from experiments.specs.prediction import Assumptions, Input, PaperRow, Predicted, load

WAYS = ("database", "files", "ranks")

MODEL = EmulatedModel(
    device="tiny",
    weights=15,
    moments=10,  # a state of 100 bytes
    start_seconds=3.0,
    transfer_seconds=0.0,
    train_row_seconds=1.0,
    train_batch_seconds=0.0,
    valid_row_seconds=0.5,
    valid_batch_seconds=0.0,
    gradient_bytes=3000,
    network_bytes_per_second=1000.0,
    fixed_bytes=0,
    row_bytes=0.0,
)

VALUES = {
    "database-training": 1.0,
    "database-evaluation": 0.5,
    "scan": 0.25,  # a second for a row of 4 bytes
    "forward": 0.25,
    "goodput": 1.0,
    "disk": 1e9,
}

ASSUMED = Assumptions(
    datasets={},
    inputs={key: Input(key, "paper", "", value, "", WAYS, ()) for key, value in VALUES.items()},
    rows={},
    claims=(),
)

RATES = Rates(dispatch={"ours": 0.1}, hop_tables=0.002, hop_store=0.001, read=0.05, merge=0.0005)


@dataclass(frozen=True)
class TinyJob(Job):
    """A job whose device is not in the table."""

    @functools.cached_property
    def models(self) -> Mapping[str, EmulatedModel]:
        return {"tiny": MODEL}


JOB = TinyJob(
    dataset=Predicted("tiny", "Tiny", "", "", "", row_bytes=4, page_file_bytes=1000.0),
    configs=(ModelConfig("tiny", 1e-3, 1e-4, 2), ModelConfig("tiny", 1e-4, 1e-4, 2)),
    workers=2,
    epochs=1,
    rows=4,
    valid_rows=2,
)


def prices(scheduling: str, way: str, name: str = "row", speeds: Speeds = PAPER) -> Prices:
    return Prices(
        JOB, PaperRow(name, {"": "ours"}, way, scheduling), "ours", RATES, ASSUMED, speeds
    )


def test_ctq() -> None:
    """A unit: 3 + 2 + 1.5 s of computing, 5 rows scanned, two moves of 0.1 + 0.1 s, 0.1 s."""
    found = epoch(prices("random", "database"))
    assert found.train_valid == pytest.approx(2 * 6.5)
    assert found.data == pytest.approx(2 * 5.0)
    assert found.model == pytest.approx(2 * 0.4)
    assert found.seconds == pytest.approx(2 * 12.0, rel=1e-4)
    assert found.measured == pytest.approx(2 * 0.2 + 2 * 0.1)


def test_udaf() -> None:
    """Sub-epochs of 3 + 2 + 2 + 2 * 0.3 + 0.1 s; then 1.5 + 3 + 0.3 + 0.1 s for each model."""
    found = epoch(prices("barriers", "database"))
    assert found.seconds == pytest.approx(2 * 7.7 + 2 * 4.9, rel=1e-4)
    assert found.train_valid == pytest.approx(2 * 6.5)
    assert found.data == pytest.approx(2 * 5.0)
    assert found.model == pytest.approx(2 * 3 * 0.3)


def test_ma() -> None:
    """Two moves, a third for the evaluation; merging brings two states and saves one."""
    found = epoch(prices("averaging", "database"))
    merging = 3 * 0.3 + 3 * 100 * 0.0005
    assert found.train_valid == pytest.approx(2 * 6.5)
    assert found.model == pytest.approx(2 * 3 * 0.3)
    assert found.specific == pytest.approx(2 * merging + 2 * 2 * 0.1)
    assert found.seconds == pytest.approx(13.0 + 10.0 + 1.8 + 2 * merging + 0.4)
    assert found.measured == pytest.approx(2 * (3 * 0.2 + 0.15) + 2 * 3 * 0.2 + 2 * 0.1)


def test_a_model_is_built_once_a_run_of_ma() -> None:
    once = epoch(prices("averaging", "database"))
    found = replace(prices("averaging", "database"), job=replace(JOB, epochs=3))
    assert once.train_valid - epoch(found).train_valid == pytest.approx(2 * 2.0)


def test_outside_the_database() -> None:
    """Phases of 2 + 0.4 + 0.1 s and 0.5 + 0.2 + 0.1 s a unit; 12 bytes read, not by DA."""
    spark, da = (epoch(prices("random", "files", name)) for name in ("Spark", "DA-Cerebro"))
    assert da.seconds == pytest.approx(2 * 2.5 + 2 * 0.8, rel=1e-4)
    assert da.data == 0.0
    assert spark.data == pytest.approx(12 * 0.05)
    assert spark.seconds - da.seconds == pytest.approx(12 * 0.05)
    assert spark.train_valid == pytest.approx(2 * 2.5)


def test_data_parallel() -> None:
    """One step of 2 s, of which half a second is the forward pass; the ring takes 3 s."""
    found = epoch(prices("all-reduce", "ranks"))
    assert found.train_valid == pytest.approx(2 * (0.5 + 3.0 + 0.5))
    assert found.seconds == pytest.approx(8.0 + 2 * 0.4 + 0.6 + 2 * 0.1)


def test_a_release_s_own_network_has_other_gradients() -> None:
    inputs = {
        **ASSUMED.inputs,
        "torchvision-tiny": Input("torchvision-tiny", "paper", "", 6000.0, "", WAYS, ()),
    }
    found = replace(prices("all-reduce", "ranks"), assumed=replace(ASSUMED, inputs=inputs))
    assert found.step(JOB.configs[0]) == pytest.approx(0.5 + 6.0)


def test_speeds_change_what_they_are_of() -> None:
    config = JOB.configs[0]
    usual = prices("random", "database")
    fast = prices("random", "database", speeds=Speeds(accelerator=2.0))
    assert fast.train(config) == usual.train(config) / 2
    assert fast.evaluate(config) == usual.evaluate(config) / 2
    assert fast.start(config) == usual.start(config)
    scanning = prices("random", "database", speeds=Speeds(scan=5.0))
    assert scanning.scan(2, 1) == pytest.approx(1.0)
    slow = prices("all-reduce", "ranks", speeds=Speeds(network=0.5))
    assert slow.step(config) == pytest.approx(0.5 + 6.0)
    assert slow.moved(config) == pytest.approx(0.1 + 0.2)


def test_a_slow_disk_or_network_is_shared_by_all_workers_of_a_model_store() -> None:
    config = JOB.configs[0]
    store = prices("random", "files", speeds=Speeds(disk=1e-8))
    assert store.shared(config, 2) == pytest.approx(2 * 100 / 10.0)
    tables = prices("barriers", "database", speeds=Speeds(disk=1e-8))
    assert tables.shared(config, 2) == pytest.approx(2 * 100 / 10.0)
    network = prices("random", "files", speeds=Speeds(network=0.01))
    assert network.shared(config, 2) == pytest.approx(2 * 2 * 100 / 10.0)
    assert epoch(store).seconds == pytest.approx(2 * 20.0 + 2 * 20.0 + 12 / 10.0, rel=1e-3)


def test_page_files_are_read_once_a_run() -> None:
    usual, slow = (prices("random", "database", speeds=Speeds(disk=d)) for d in (1.0, 1e-7))
    assert usual.page_files() == 0.0
    assert slow.page_files() == pytest.approx(1000 / 100.0)


def test_an_approach_without_a_run_cannot_be_predicted() -> None:
    with pytest.raises(SpecError, match="no run of theirs to take its rates from"):
        replace(prices("random", "files"), approach="theirs")


def test_the_papers_jobs_are_its_grids() -> None:
    datasets = load().datasets
    imagenet, criteo = (Job.of_paper(datasets[name]) for name in ("imagenet", "criteo"))
    assert (len(imagenet.configs), imagenet.workers, imagenet.epochs) == (16, 8, 10)
    assert (len(criteo.configs), criteo.workers, criteo.epochs) == (16, 8, 5)
    assert imagenet.shard == (160_145, 6_250)
    unlike = Job.of_paper(datasets["imagenet"], "heterogeneity")
    assert len(unlike.configs) == 48
