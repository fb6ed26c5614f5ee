"""Readiness as an object: what has to be seen before a started role counts as serving."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Protocol


class Observed(Protocol):
    """What a wait may look at."""

    @property
    def endpoint(self) -> tuple[str, int]:
        """Address and port that the role listens on."""

    def output(self) -> str:
        """What the role has logged since it was started."""


class Wait(Protocol):
    """A sign of readiness. ``str()`` of it says what is waited for."""

    def met(self, role: Observed) -> bool:
        """Look once, without waiting."""


@dataclass(frozen=True)
class LogLine:
    """The role has logged a text."""

    text: str

    def met(self, role: Observed) -> bool:
        return self.text in role.output()

    def __str__(self) -> str:
        return f"{self.text!r} in its log"


@dataclass(frozen=True)
class PortOpen:
    """Something accepts connections on the role's port."""

    timeout: float = 0.5

    def met(self, role: Observed) -> bool:
        try:
            socket.create_connection(role.endpoint, self.timeout).close()
        except OSError:
            return False
        return True

    def __str__(self) -> str:
        return "its port to open"
