"""The error tree: what a caller can catch, and what each one means.

::

    ReproduceError
    ├── UserError            the user can mend it: one line, exit code 2, no traceback
    │   ├── SpecError        a specification, a figure or a setting that does not exist or fit
    │   ├── DataError        a data file that is missing, damaged or of the wrong shape
    │   ├── EnvironmentFault a tool, port, package, disk or memory that the machine lacks
    │   │   └── NoImages     images that are needed cannot be built here
    │   └── PlanError        the database would move data that must stay where it is
    ├── ServerDied           a role's process ended or cannot be reached; it may come back
    │   └── NotBegun         … before the work that needs it had begun: nothing was lost
    ├── UnitFailed           one unit of training raised; carries the worker's own traceback
    └── InvariantViolation   a finished epoch broke one of the hopper's four invariants

Everything that is not a :class:`UserError` keeps its traceback, in the log that its message names:
it is a bug or a fault, not a wrong command.
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "EnvironmentFault",
    "InvariantViolation",
    "NoImages",
    "NotBegun",
    "PlanError",
    "ReproduceError",
    "ServerDied",
    "SpecError",
    "UnitFailed",
    "UserError",
]


class ReproduceError(Exception):
    """Root of every error this project raises on purpose."""


class UserError(ReproduceError):
    """Something the user can mend: the message names the file, setting or command to change."""


class SpecError(UserError):
    """A figure, experiment, scale, approach or setting that does not exist or does not fit."""


class DataError(UserError):
    """A data file that is missing, damaged or of the wrong shape; the message names it."""


class EnvironmentFault(UserError):
    """Something this machine lacks: a package, a free port, disk, memory, permission."""


class NoImages(EnvironmentFault):
    """Images that are needed cannot be built on this machine; without containers it may do."""


class PlanError(UserError):
    """The database planned to move data to the query instead of the query to the data."""


class ServerDied(ReproduceError):
    """A role's process ended by itself, or cannot be reached; the message names it.

    What is called raises it when its server is gone: whoever called waits until it is back, and
    tries again.
    """


class NotBegun(ServerDied):
    """A server was found dead before the work that needs it had begun: nothing was lost."""


class UnitFailed(ReproduceError):
    """A unit of training raised on its worker. The message holds the worker's traceback."""


class InvariantViolation(ReproduceError):
    """A finished epoch broke one of the model hopper's invariants (Cerebro, PVLDB 13(11), §3.1)."""
