"""Values that describe what is to be run. Frozen, JSON-able, free of machine details."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from experiments.specs.emulation import EMULATED, MEASURED, EmulationSpec
from experiments.specs.protocol import Protocol
from experiments.specs.search import SearchSpec


@dataclass(frozen=True)
class ModelConfig:
    """One point of the search space (a *model config*, an MST in MADlib's words).

    Attributes
    ----------
    architecture : name in ``experiments.models.architectures``, for example ``resnet50``.
    learning_rate : Adam's step size.
    regularization : L2 coefficient λ; the loss gets ``λ · Σ w²`` over kernels and biases.
    batch_size : rows per optimizer step.
    """

    architecture: str
    learning_rate: float
    regularization: float
    batch_size: int

    @property
    def key(self) -> str:
        """Name for logs and files, unique within a grid."""
        return (
            f"{self.architecture}-b{self.batch_size}"
            f"-lr{self.learning_rate:g}-reg{self.regularization:g}"
        )


@dataclass(frozen=True)
class DatasetSpec:
    """A named data set cut to a number of rows.

    Attributes
    ----------
    name : name in ``experiments.datasets``, for example ``fashion-mnist``.
    train_rows, valid_rows : rows taken, in the order of a seeded shuffle.
    """

    name: str
    train_rows: int
    valid_rows: int


@dataclass(frozen=True)
class RunSpec:
    """One run: one experiment, approach, number of workers and seed, at one scale and protocol.

    Attributes
    ----------
    workers : number of segments or workers W, which is also the number of partitions.
    epochs : that a model config is trained for; in a search, at most.
    policy : name in ``experiments.mop.policy``; only approaches that hop use it.
    configs : what is trained; empty where a search draws it.
    search : where configurations come from, if not from ``configs``.
    spark_master : address of a Spark cluster that exists, as Spark writes it; empty for one of our
        own. Only approaches on Spark use it.
    settings : what only this approach can be told, from its row in ``approaches.toml``.
    emulation : the device that workers wait for instead of training; None where they train.
    """

    experiment: str
    approach: str
    scale: str
    protocol: Protocol
    workers: int
    seed: int
    epochs: int
    policy: str
    dataset: DatasetSpec
    configs: tuple[ModelConfig, ...]
    search: SearchSpec | None = None
    spark_master: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    emulation: EmulationSpec | None = None

    @property
    def evidence(self) -> str:
        """What kind of evidence the run is."""
        return MEASURED if self.emulation is None else EMULATED

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunSpec:
        fields = dict(data)
        fields["dataset"] = DatasetSpec(**fields["dataset"])
        fields["protocol"] = Protocol(**fields["protocol"])
        fields["configs"] = tuple(ModelConfig(**config) for config in fields["configs"])
        if fields.get("search") is not None:
            fields["search"] = SearchSpec.from_json(fields["search"])
        if fields.get("emulation") is not None:
            fields["emulation"] = EmulationSpec.from_json(fields["emulation"])
        return cls(**fields)


def derive_seed(*parts: int | str) -> int:
    """A 31-bit seed from a run's seed and whatever else names its use.

    Every unit's seed is ``derive_seed(seed, "unit", model, epoch, partition)``, so a unit draws the
    same dropout masks wherever, whenever and by whichever approach it is run; a unit on the whole
    data set has no partition there.
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1
