"""What is done, a JSON line each; so work that was killed goes on after the last whole line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from experiments.datasets.aside import sync_folder

LEDGER = "ledger.jsonl"


class Ledger:
    """Lines of a file, each on disk before :meth:`append` returns. A context manager.

    A last line that was torn by a kill is dropped when the file is opened.

    Attributes
    ----------
    lines : of the file so far.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self.lines: list[dict[str, Any]] = []
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            good = 0
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    self.lines.append(dict(json.loads(line)))
                except (ValueError, TypeError):
                    break
                good += len(line)
        os.ftruncate(self._descriptor, good)
        os.lseek(self._descriptor, good, os.SEEK_SET)
        sync_folder(path.parent)

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line."""
        data = memoryview(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)
        self.lines.append(dict(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
