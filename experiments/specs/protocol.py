"""Protocols: the named switches by which the paper's runs differed beside the approach itself.

The release evaluated the training set too, and validated in mid-epoch, in some approaches only
(original release, sections 2.3 to 2.9); a protocol says what is done, for all of them alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from experiments.errors import SpecError

_BUILT: Mapping[str, tuple[object, ...]] = {
    "training_set_pass": (False,),
    "mid_epoch_validation": (False,),
    "storage": ("external", "lz4", "pglz"),
    "rebuild_on_hop": (False,),
    "reset_optimizer": (False,),
    "caches": (True, False),
    "ddp_batch": ("global", "per-rank"),
    "search_feedback": ("shared",),
}
"""What this version can do, for the switches that have a list of values."""


@dataclass(frozen=True)
class Protocol:
    """A row of ``protocols.toml``.

    Attributes
    ----------
    training_set_pass : evaluate every model on the training set as well at the end of an epoch.
    mid_epoch_validation : validate after every unit, not only at the end of an epoch.
    storage : of packed tables: ``external`` (as they are), ``lz4`` or ``pglz``.
    buffer_bytes : bytes of rows in one buffer of a packed table, or read at once from a file.
    rebuild_on_hop : build the model anew for every unit.
    reset_optimizer : forget Adam's moments at every hop.
    caches : keep decoded buffers in the process that trains.
    ddp_batch : whether the batch size is of all ranks together (``global``) or of each alone
        (``per-rank``, as in the original release).
    search_feedback : whether every approach is searched with the same configurations (``shared``).
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
    def from_row(cls, name: str, row: Mapping[str, Any]) -> Protocol:
        """A row as read.

        Raises
        ------
        SpecError
            A switch is missing, unknown, or asks for what this version cannot do.
        """
        known = {field.name for field in fields(cls)} - {"name"}
        for switch in sorted(known ^ set(row)):
            problem = "is missing" if switch in known else "is not a switch"
            raise SpecError(f"protocols.toml: {name}.{switch} {problem}")
        for switch, values in _BUILT.items():
            if (type(row[switch]), row[switch]) not in [(type(value), value) for value in values]:
                can = " or ".join(map(repr, values))
                raise SpecError(
                    f"protocols.toml: {name}.{switch} = {row[switch]!r}: this version knows {can}"
                )
        size = row["buffer_bytes"]
        if type(size) is not int or size < 1:
            raise SpecError(f"protocols.toml: {name}.buffer_bytes = {size!r}: bytes, at least 1")
        return cls(name=name, **row)
