"""What a session is asked to train: the JSON-able job, checked and typed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.errors import SpecError
from experiments.specs.emulation import EmulatedModel

if TYPE_CHECKING:
    ModelKey = tuple[str, tuple[int, ...], int, EmulatedModel | None]


@dataclass(frozen=True)
class Job:
    """What to train, parsed from its JSON-able form.

    Attributes
    ----------
    architecture : name in :mod:`experiments.models.architectures`.
    input_shape : shape of one row.
    classes : number of classes.
    batch_size : rows per optimizer step.
    learning_rate : Adam's step size.
    regularization : L2 coefficient λ.
    emulation : the device that is waited for; None where the framework computes.
    """

    architecture: str
    input_shape: tuple[int, ...]
    classes: int
    batch_size: int
    learning_rate: float
    regularization: float
    emulation: EmulatedModel | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """Read a job; :class:`SpecError` names a field that is missing, unknown or out of range."""
        fields = tuple(cls.__dataclass_fields__)
        for name in data:
            if name not in fields:
                near = difflib.get_close_matches(name, fields, n=1, cutoff=0.0)[0]
                raise SpecError(f"a job has no field {name!r}; did you mean {near!r}?")
        try:
            job = cls(
                architecture=str(data["architecture"]),
                input_shape=tuple(int(size) for size in data["input_shape"]),
                classes=int(data["classes"]),
                batch_size=int(data["batch_size"]),
                learning_rate=float(data["learning_rate"]),
                regularization=float(data["regularization"]),
                emulation=_emulation(data.get("emulation")),
            )
        except KeyError as error:
            raise SpecError(f"a job needs the field {error}") from None
        except (TypeError, ValueError) as error:
            raise SpecError(f"a job's field has the wrong type: {error}") from None
        if job.batch_size < 1 or job.classes < 2 or min(job.input_shape, default=0) < 1:
            raise SpecError(f"a job's sizes must be positive, and its classes two or more: {job}")
        return job

    @property
    def model(self) -> ModelKey:
        """What one compiled model serves: every job that shares these."""
        return self.architecture, self.input_shape, self.classes, self.emulation


def _emulation(data: Mapping[str, Any] | None) -> EmulatedModel | None:
    return None if data is None else EmulatedModel.from_json(data)
