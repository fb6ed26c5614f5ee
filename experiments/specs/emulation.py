"""How long a device takes for a model: what an emulated run waits for, and a simulation adds up.

Times are *modelled*: seconds on the device, whatever waits for them. A worker inside a database
server reads this too, so the code keeps to Python 3.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from experiments.errors import SpecError

EMULATED, MEASURED = "emulated", "measured"
"""Kinds of evidence that a run may be."""

ADAM_BYTES = 16
"""Of each weight on the device: itself, its gradient and two moments, float32 each."""


@dataclass(frozen=True)
class EmulatedModel:
    """One architecture on one device.

    Attributes
    ----------
    device : its name, for people.
    weights, moments : floats of its state in this run.
    start_seconds : to build the model, once in a process.
    transfer_seconds : to bring the state onto the device, or back.
    train_row_seconds, train_batch_seconds : of an optimizer step, for each of its rows and beside.
    valid_row_seconds, valid_batch_seconds : the same of an evaluation.
    gradient_bytes : that data-parallel ranks reduce in each step.
    network_bytes_per_second : by which a rank sends.
    fixed_bytes, row_bytes : of the device's memory that the model takes, and each row of a batch.
    speedup : waiting is divided by it.
    """

    device: str
    weights: int
    moments: int
    start_seconds: float
    transfer_seconds: float
    train_row_seconds: float
    train_batch_seconds: float
    valid_row_seconds: float
    valid_batch_seconds: float
    gradient_bytes: int
    network_bytes_per_second: float
    fixed_bytes: int
    row_bytes: float
    speedup: float = 1.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EmulatedModel:
        """As ``dataclasses.asdict`` gives it; :class:`SpecError` for anything else."""
        if not isinstance(data, Mapping) or set(data) != {field.name for field in fields(cls)}:
            raise SpecError(f"not a model on an emulated device: {data!r}")
        return cls(**data)

    @property
    def state_bytes(self) -> int:
        """Of weights and moments as they hop in this run."""
        return 4 * (self.weights + self.moments)

    def batch_seconds(self, kind: str, rows: int) -> float:
        """Modelled seconds of a batch of so many rows; ``kind`` is ``train`` or ``valid``."""
        if kind == "train":
            return self.train_batch_seconds + rows * self.train_row_seconds
        return self.valid_batch_seconds + rows * self.valid_row_seconds

    def unit_seconds(self, kind: str, rows: int, batch_size: int) -> float:
        """Modelled seconds of a unit: the state comes, all rows in batches, a trained state goes.

        What brings rows and states to the device is not in it.
        """
        whole, rest = divmod(rows, batch_size)
        seconds = whole * self.batch_seconds(kind, batch_size)
        seconds += self.batch_seconds(kind, rest) if rest else 0.0
        return seconds + self.transfer_seconds * (2 if kind == "train" else 1)

    def together_seconds(self, rows: int, ranks: int) -> float:
        """Modelled seconds of one step of data-parallel ranks.

        All-reduce goes on beside the backward pass (Li et al., PVLDB 13(12)), so the longer of the
        two counts. In a ring each rank sends ``2 (p - 1) / p`` of all gradients.

        Parameters
        ----------
        rows : of the rank that has most.
        """
        sent = 2 * (ranks - 1) / ranks * self.gradient_bytes
        return max(self.batch_seconds("train", rows), sent / self.network_bytes_per_second)

    def occupied_bytes(self, batch_size: int) -> int:
        """Of the device's memory."""
        return round(self.fixed_bytes + batch_size * self.row_bytes)


@dataclass(frozen=True)
class EmulationSpec:
    """The device that a run's workers wait for instead of training.

    Everything that the device table says of the run's architectures is here, so that a change there
    is a change of the run.

    Attributes
    ----------
    device : name in ``devices.toml``, or ``this`` for this machine's own pilot.
    speedup : waiting is divided by it.
    state_fraction : of the true size that states have in this run; modelled times are of the true.
    models : by architecture.
    """

    device: str
    speedup: float
    state_fraction: float
    models: Mapping[str, EmulatedModel]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EmulationSpec:
        models = {name: EmulatedModel.from_json(row) for name, row in data["models"].items()}
        return cls(**{**data, "models": models})
