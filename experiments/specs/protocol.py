"""Protocols: the named switches by which the paper's runs differed beside the approach itself.

The release evaluated the training set too, and validated in mid-epoch, in some approaches only
(original release, sections 2.3 to 2.9). So a row of ``protocols.toml`` may give a switch as the
list of the approaches that have it on; a :class:`Protocol` is the row as it is for one approach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from experiments.errors import SpecError

_VALUES: Mapping[str, tuple[object, ...]] = {
    "training_set_pass": (True, False),
    "mid_epoch_validation": (True, False),
    "storage": ("external", "lz4", "pglz"),
    "rebuild_on_hop": (True, False),
    "reset_optimizer": (True, False),
    "caches": (True, False),
    "ddp_batch": ("global", "per-rank"),
    "search_feedback": ("shared", "own"),
}
"""What the switches may be that have a list of values."""


@dataclass(frozen=True)
class Protocol:
    """A row of ``protocols.toml``, as it is for one approach.

    Attributes
    ----------
    training_set_pass : evaluate every model on the training set as well, before the validation set.
    mid_epoch_validation : evaluate a model that hops after every unit, on the unit's partition and
        before it hops on, instead of at the end of an epoch. An epoch's measure is then over
        states that the model had within it. What does not hop has no model in mid-epoch.
    storage : of packed tables: ``external`` (as they are), ``lz4`` or ``pglz``.
    buffer_bytes : bytes of rows in one buffer of a packed table, or read at once from a file.
    rebuild_on_hop : build the model anew for every unit.
    reset_optimizer : save states without Adam's moments, so that every unit starts with fresh ones.
    caches : keep decoded buffers in the process that trains.
    ddp_batch : whether the batch size is of all ranks together (``global``) or of each alone
        (``per-rank``, as in the original release).
    search_feedback : whether a search's first approach decides by its results what all of them
        train (``shared``), or each by its own (``own``).
    """

    name: str
    training_set_pass: bool
    mid_epoch_validation: bool
    storage: str
    buffer_bytes: int
    rebuild_on_hop: bool
    reset_optimizer: bool
    caches: bool
    ddp_batch: str
    search_feedback: str

    def __str__(self) -> str:
        return self.name

    @classmethod
    def from_row(cls, name: str, row: Mapping[str, Any], approach: str | None = None) -> Protocol:
        """A row as read.

        Parameters
        ----------
        approach : whose; what is for some approaches only is off where none is named.

        Raises
        ------
        SpecError
            A switch is missing, unknown, or has a value that it cannot have.
        """
        known = {field.name for field in fields(cls)} - {"name"}
        for switch in sorted(known ^ set(row)):
            problem = "is missing" if switch in known else "is not a switch"
            raise SpecError(f"protocols.toml: {name}.{switch} {problem}")
        for switch, values in _VALUES.items():
            if (type(row[switch]), row[switch]) in [(type(value), value) for value in values]:
                continue
            if values == (True, False) and isinstance(row[switch], list):
                continue
            can = " or ".join(map(repr, values))
            lists = " or a list of approaches" if values == (True, False) else ""
            raise SpecError(f"protocols.toml: {name}.{switch} = {row[switch]!r}, not {can}{lists}")
        size = row["buffer_bytes"]
        if type(size) is not int or size < 1:
            raise SpecError(f"protocols.toml: {name}.buffer_bytes = {size!r}: bytes, at least 1")
        return cls(name=name, **{switch: _for(approach, value) for switch, value in row.items()})


def _for(approach: str | None, value: Any) -> Any:
    return approach in value if isinstance(value, list) else value
