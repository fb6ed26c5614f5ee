"""The contract every approach keeps, and the registry that finds them.

An approach declares its *traits*; each trait has a contract suite in ``tests/contracts`` that runs
on every approach declaring it. To add one: a module here with a class named ``Approach``, and a row
in ``specs/approaches.toml``.
"""

from __future__ import annotations

import enum
import functools
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, cast

from experiments.datasets import PreparedDataset
from experiments.mop.store import ModelStore
from experiments.mop.unit import Kind
from experiments.search.journaled import Entry, Search
from experiments.search.registry import search_of
from experiments.specs.emulation import EmulationSpec
from experiments.specs.load import approaches, nearest
from experiments.specs.model import ModelConfig, RunSpec
from experiments.specs.protocol import Protocol as RunProtocol
from experiments.specs.topology import Topology
from experiments.telemetry.journal import Event, Journal


class Trait(enum.Enum):
    """What an approach promises about how it trains."""

    HOPS = "hops"
    AVERAGES = "averages"
    DATA_PARALLEL = "data-parallel"
    TASK_PARALLEL = "task-parallel"
    """One worker trains a model on the whole data set: its units name no partition."""
    PACKAGE = "package"
    """A published system that is run as it is: it schedules by itself, and what is interrupted it
    cannot go on with, so that the run begins again."""


_NOT_ITS_OWN = (
    *("training_set_pass", "mid_epoch_validation"),
    *("rebuild_on_hop", "reset_optimizer"),
)
"""Switches that reach into how an approach trains."""


@dataclass(frozen=True)
class RunContext:
    """What an approach is given.

    Attributes
    ----------
    store : model states of this run; a folder that driver, workers and segments share.
    history : events of the same run before it was interrupted; empty for a fresh one.
    """

    spec: RunSpec
    dataset: PreparedDataset
    topology: Topology
    journal: Journal
    store: ModelStore
    history: tuple[Event, ...]

    @functools.cached_property
    def search(self) -> Search | None:
        """Where configurations come from, if they are not a fixed grid."""
        return search_of(self.spec, self.journal) if self.spec.search is not None else None

    @property
    def configs(self) -> Sequence[ModelConfig]:
        """Every model config that is known by now, by its model's number."""
        return self.spec.configs if self.search is None else self.search.configs

    @property
    def models(self) -> int:
        """How many models there may be."""
        return len(self.spec.configs) if self.search is None else self.search.most

    def networks(self) -> list[dict[str, Any]]:
        """A job for each architecture and batch size; in a search, for each architecture."""
        search = self.search
        configs = self.spec.configs if search is None else search.architectures()
        shapes = {(config.architecture, config.batch_size): config for config in configs}
        return [self.job(config) for config in shapes.values()]

    def job(self, config: ModelConfig) -> dict[str, Any]:
        """A model config of this run, as workers and database backends take it."""
        return {**job(config, self.dataset, self.spec.emulation), **self.switches()}

    def switches(self) -> dict[str, Any]:
        """What the run's protocol adds to every job; see :mod:`experiments.models.worker`."""
        protocol = self.spec.protocol
        on = {"rebuild": protocol.rebuild_on_hop, "reset_optimizer": protocol.reset_optimizer}
        return {name: True for name, value in on.items() if value}

    @property
    def evaluations(self) -> tuple[Kind, ...]:
        """What every model is evaluated on in every epoch, in order."""
        return evaluations(self.spec)

    @property
    def evaluates_units(self) -> bool:
        """Whether that is done at the end of every unit of training, on the unit's partition."""
        return evaluates_units(self.spec)

    def turns(self) -> Iterator[Entry]:
        """What is left to do, for an approach that trains one model at a time.

        Each model in turn is trained and evaluated for all its epochs. Whoever takes a turn marks
        it ``evaluated`` and ``epoch_finished`` in the journal before it takes the next.
        """
        if self.search is None:
            over = {(e.model, e.epoch) for e in self.history if e.kind == "epoch_finished"}
            for model in range(len(self.spec.configs)):
                for epoch in range(1, self.spec.epochs + 1):
                    if (model, epoch) not in over:
                        yield Entry(model, epoch)
        else:
            for entries in self.search.rounds():
                yield entries[0]


class ApproachContract(Protocol):
    """An approach. Made once per run, in the driver's process."""

    traits: ClassVar[frozenset[Trait]]
    roles: ClassVar[tuple[str, ...]]

    def __init__(self, context: RunContext) -> None: ...

    def prepare(self) -> None:
        """Bring the data where training needs it (ETL), journaled in ``etl.*`` spans."""

    def train(self) -> None:
        """Run all epochs, evaluation included."""

    def close(self) -> None:
        """Stop what runs and let go of every connection. Safe at any moment and twice."""


def find(name: str) -> type[ApproachContract]:
    """The class of an approach by its id."""
    rows = approaches()
    if name not in rows:
        raise nearest("approach", name, rows)
    module = importlib.import_module(f"experiments.approaches.{rows[name].module}")
    return cast(type[ApproachContract], module.Approach)


def units(spec: RunSpec) -> int:
    """How many units train an epoch of a model: one a partition, or one on the whole data set.

    As many evaluate it, for each thing it is evaluated on.
    """
    return 1 if Trait.TASK_PARALLEL in find(spec.approach).traits else spec.workers


def epoch_units(spec: RunSpec) -> int:
    """How many units a model's epoch has in all."""
    return units(spec) * (1 if evaluates_units(spec) else 1 + len(evaluations(spec)))


def evaluations(spec: RunSpec) -> tuple[Kind, ...]:
    """See :attr:`RunContext.evaluations`."""
    return ("training_pass", "valid") if spec.protocol.training_set_pass else ("valid",)


def evaluates_units(spec: RunSpec) -> bool:
    """See :attr:`RunContext.evaluates_units`."""
    return spec.protocol.mid_epoch_validation and Trait.HOPS in find(spec.approach).traits


def inability(approach: str, protocol: RunProtocol, *, emulated: bool) -> str | None:
    """Why a run does without an approach; a package cannot do what ours can."""
    if Trait.PACKAGE not in find(approach).traits:
        return None
    if emulated:
        return "it trains by itself, and cannot wait for an emulated device"
    wanted = [name for name in _NOT_ITS_OWN if getattr(protocol, name)]
    if wanted:
        return f"it trains by itself, without the {', '.join(wanted)} of protocol {protocol}"
    return None


def job(
    config: ModelConfig, dataset: PreparedDataset, emulation: EmulationSpec | None = None
) -> dict[str, Any]:
    """A model config on a data set, as workers and database backends take it."""
    model = {
        "architecture": config.architecture,
        "input_shape": list(dataset.input_shape),
        "classes": dataset.classes,
        "batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "regularization": config.regularization,
    }
    if emulation is not None:
        model["emulation"] = asdict(emulation.models[config.architecture])
    return {"model": model}
