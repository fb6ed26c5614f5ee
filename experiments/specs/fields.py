"""Reads JSON field by field, so that every complaint names the file and the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.errors import SpecError

_REQUIRED: Any = object()


class Fields:
    """One JSON object under inspection.

    Parameters
    ----------
    data : what the parser returned; anything but an object is refused.
    source : name of the file, first in every message.
    where : path of this object within the file, for example ``nodes[1].ports``.
    """

    def __init__(self, data: Any, source: str, where: str = "") -> None:
        self._source = source
        self._where = where
        if not isinstance(data, dict):
            raise SpecError(f"{source}: {where or 'content'}: expected an object")
        self._rest: dict[str, Any] = dict(data)

    def error(self, name: str, problem: str) -> SpecError:
        """The error to raise for a field of this object."""
        return SpecError(f"{self._source}: {self._path(name)}: {problem}")

    def text(self, name: str) -> str:
        value = self._take(name)
        if not isinstance(value, str) or not value:
            raise self.error(name, f"expected a text, found {value!r}")
        return value

    def text_or_none(self, name: str) -> str | None:
        if self._rest.get(name, "") is None:
            del self._rest[name]
            return None
        return self.text(name)

    def text_or_empty(self, name: str) -> str:
        """A text; empty where the field is missing."""
        if self._rest.get(name, "") == "":
            self._rest.pop(name, None)
            return ""
        return self.text(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of different texts; empty where the field is missing."""
        value = self._take(name, [])
        whole = isinstance(value, list) and all(isinstance(each, str) and each for each in value)
        if not whole or len({*value}) < len(value):
            raise self.error(name, f"expected a list of different texts, found {value!r}")
        return tuple(value)

    def folder(self, name: str) -> Path:
        path = Path(self.text(name))
        if not path.is_absolute() or "\0" in str(path):
            raise self.error(name, f"expected an absolute path, found {str(path)!r}")
        return path

    def folder_or_none(self, name: str) -> Path | None:
        if self._rest.get(name) is None:
            self._rest.pop(name, None)
            return None
        return self.folder(name)

    def number(
        self, name: str, *, low: int, high: int | None = None, default: int = _REQUIRED
    ) -> int:
        """A whole number between ``low`` and ``high``, both included."""
        value = self._take(name, default)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < low or (high is not None and value > high):
            limits = f"at least {low}" if high is None else f"from {low} to {high}"
            raise self.error(name, f"expected a whole number {limits}, found {value!r}")
        return int(value)

    def child(self, name: str) -> Fields:
        return Fields(self._take(name), self._source, self._path(name))

    def items(self, name: str) -> list[Fields]:
        """The objects of a list that is not empty."""
        value = self._take(name)
        if not isinstance(value, list) or not value:
            raise self.error(name, "expected a list of at least one object")
        path = self._path(name)
        return [Fields(entry, self._source, f"{path}[{i}]") for i, entry in enumerate(value)]

    def finish(self) -> None:
        """Refuse fields that nobody asked for: they are misspelt."""
        for name in self._rest:
            raise self.error(name, "is not a known field")

    def _take(self, name: str, default: Any = _REQUIRED) -> Any:
        value = self._rest.pop(name, default)
        if value is _REQUIRED:
            raise self.error(name, "is missing")
        return value

    def _path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name
