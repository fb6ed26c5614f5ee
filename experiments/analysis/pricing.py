"""What each piece of an epoch takes at a scale that no machine here has: computing, rows, states.

Computing takes what the device table says; dispatching, moving states, reading files and merging
cost what was measured here (:mod:`.rates`), with the cluster's network between nodes; and what the
paper's runs did beside, such as scanning the rows anew in every unit, is in ``prediction.toml``
with its source.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.analysis.rates import Rates
from experiments.errors import SpecError
from experiments.specs import devices
from experiments.specs.emulation import EmulatedModel
from experiments.specs.load import SCALES, experiments, grid, largest_batches
from experiments.specs.model import ModelConfig
from experiments.specs.prediction import Assumptions, PaperRow, Predicted

_TABLES = ("barriers", "averaging")
_WRITES = 2
"""A row of a table is written twice: to the log ahead, and to its page."""


@dataclass(frozen=True)
class Speeds:
    """The cluster, as factors on the paper's.

    Attributes
    ----------
    accelerator : of computing, whatever computes.
    network : of what a node sends and receives.
    disk : of what a node reads from its disk and writes to it.
    scan : of giving rows inside the database, decompression included.
    """

    accelerator: float = 1.0
    network: float = 1.0
    disk: float = 1.0
    scan: float = 1.0


PAPER = Speeds()


@dataclass(frozen=True)
class Job:
    """What is trained; ``rows`` and ``valid_rows`` are of the whole data set."""

    dataset: Predicted
    configs: tuple[ModelConfig, ...]
    workers: int
    epochs: int
    rows: int
    valid_rows: int
    device: str = "p100"

    @classmethod
    def of_paper(cls, dataset: Predicted, experiment: str | None = None) -> Job:
        """An experiment as its table has it at scale ``paper``; by default the end-to-end one."""
        name = experiment or dataset.experiment
        table = experiments()[name].table["paper"]
        return cls(
            dataset=dataset,
            configs=grid(name, "paper"),
            workers=SCALES["paper"],
            epochs=table["epochs"],
            rows=table["dataset"]["train_rows"],
            valid_rows=table["dataset"]["valid_rows"],
        )

    @functools.cached_property
    def models(self) -> Mapping[str, EmulatedModel]:
        """The device's times and sizes by architecture."""
        batches = largest_batches(self.configs, None)
        return devices.emulation(self.device, batches, dataset=self.dataset.id).models

    @property
    def shard(self) -> tuple[int, int]:
        """Rows of a worker: training, validation."""
        return self.rows // self.workers, self.valid_rows // self.workers


@dataclass(frozen=True)
class Prices:
    """Seconds of one approach on one job and cluster.

    Parameters
    ----------
    approach : ours, whose dispatching was measured.
    """

    job: Job
    row: PaperRow
    approach: str
    rates: Rates
    assumed: Assumptions
    speeds: Speeds = PAPER

    def __post_init__(self) -> None:
        if self.approach not in self.rates.dispatch:
            raise SpecError(f"no run of {self.approach} to take its rates from")

    @property
    def dispatch(self) -> float:
        """Of a unit."""
        return self.rates.dispatch[self.approach]

    @property
    def in_database(self) -> bool:
        return self.row.way == "database"

    def train(self, config: ModelConfig) -> float:
        """A unit's optimizer steps."""
        factor = self._value("database-training") if self.in_database else 1.0
        return factor * self._computing("train", config, self.job.shard[0])

    def evaluate(self, config: ModelConfig) -> float:
        """Evaluating a model on a worker; in the database on the training set, too."""
        if not self.in_database:
            return self._computing("valid", config, self.job.shard[1])
        factor = self._value("database-training") * self._value("database-evaluation")
        return factor * self._computing("train", config, sum(self.job.shard))

    def start(self, config: ModelConfig) -> float:
        """Building the model, as approaches in the database do in every unit."""
        return self.model(config).start_seconds

    def step(self, config: ModelConfig) -> float:
        """A data-parallel step. Each rank takes the nominal batch, as the release's did.

        Gradients are reduced beside the backward pass (Li et al., PVLDB 13(12)), and only there.
        In a ring each rank sends ``2 (W - 1) / W`` of them.
        """
        workers = self.job.workers
        alone = self.model(config).batch_seconds("train", config.batch_size)
        alone /= self.speeds.accelerator
        forward = self._value("forward") * alone
        ring = 2 * (workers - 1) / workers * self._gradients(config) / self.network
        return forward + max(alone - forward, ring)

    def scan(self, train: int, valid: int) -> float:
        """So many passes over a worker's rows inside the database."""
        rows = train * self.job.shard[0] + valid * self.job.shard[1]
        seconds = rows * self.job.dataset.row_bytes * self._value("scan")
        return seconds / self.speeds.scan

    def read(self) -> float:
        """A worker's rows from files, in an epoch: they are read once a run.

        Nothing for Direct Access, which reads them in its ETL.
        """
        if self.row.name.startswith("DA-"):
            return 0.0
        per_byte = max(self.rates.read, 1.0 / self.disk)
        return sum(self.job.shard) * self.job.dataset.row_bytes * per_byte / self.job.epochs

    def page_files(self) -> float:
        """What reading page files on a slower disk takes more, in an epoch: once a run."""
        slower = 1.0 / self.disk - 1.0 / self._value("disk")
        return max(0.0, self.job.dataset.page_file_bytes * slower) / self.job.epochs

    def moved_here(self, config: ModelConfig) -> float:
        """A state brought or saved, without the network: as measured here."""
        tables = self.row.scheduling in _TABLES
        rate = self.rates.hop_tables if tables else self.rates.hop_store
        return self.size(config) * rate

    def moved(self, config: ModelConfig) -> float:
        """A state brought or saved."""
        return self.moved_here(config) + self.size(config) / self.network

    def merged(self, config: ModelConfig) -> float:
        """W states averaged to one, once they are there."""
        return (self.job.workers + 1) * self.size(config) * self.rates.merge

    def shared(self, config: ModelConfig, moves: int) -> float:
        """The least that a unit takes because all workers' states go through one place.

        A model store's server has one network and one disk. Tables lie on the node's own disk.
        """
        size = self.size(config)
        if self.row.scheduling in _TABLES:
            return _WRITES * size / self.disk
        everybody = self.job.workers * size
        return max(moves * everybody / self.network, everybody / self.disk)

    @property
    def network(self) -> float:
        """Bytes a second between two nodes."""
        line = next(iter(self.job.models.values())).network_bytes_per_second
        return line * self._value("goodput") * self.speeds.network

    @property
    def disk(self) -> float:
        """Bytes a second of a node's disk."""
        return self._value("disk") * self.speeds.disk

    def model(self, config: ModelConfig) -> EmulatedModel:
        """The config's architecture on the device."""
        return self.job.models[config.architecture]

    def size(self, config: ModelConfig) -> int:
        """Bytes of a state: weights and Adam's moments."""
        return self.model(config).state_bytes

    def steps(self, config: ModelConfig) -> int:
        """A rank's, in an epoch."""
        return math.ceil(self.job.shard[0] / config.batch_size)

    def _value(self, name: str) -> float:
        return self.assumed.value(name, self.job.dataset.id)

    def _computing(self, kind: str, config: ModelConfig, rows: int) -> float:
        """On bare files."""
        seconds = self.model(config).unit_seconds(kind, rows, config.batch_size)
        return seconds / self.speeds.accelerator

    def _gradients(self, config: ModelConfig) -> float:
        """Bytes; the release trained torchvision's networks, of which one is another."""
        own = f"torchvision-{config.architecture}"
        if own in self.assumed.inputs:
            return self.assumed.value(own, self.job.dataset.id)
        return self.model(config).gradient_bytes
