"""How long roles that start are waited for: as long as they still say something."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.errors import ServerDied
from experiments.runtime import started
from experiments.runtime.dask_roles import READY
from experiments.specs.topology import SCHEDULER, Node

LOOK = 30.0
"""Seconds that pass on the made-up clock from one look to the next."""


class Starting(started.StartedRole):
    """Serves after so many looks; says something at each of the first ``says``."""

    def __init__(self, log: Path, serves: int, says: int) -> None:
        node = Node(0, "127.0.0.1", log.parent, {SCHEDULER: 1}, ())
        super().__init__(SCHEDULER, node, log)
        log.touch()
        self._looks, self._serves, self._says = 0, serves, says

    def status(self) -> int | None:
        self._looks += 1
        with self.log.open("a") as log:
            if self._looks <= self._says:
                log.write("still at it\n")
            if self._looks == self._serves:
                log.write(f"{READY}\n")
        return None

    def signal(self, number: object) -> None: ...

    def kill(self) -> None: ...


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def sleep(_: float) -> None:
        now[0] += LOOK

    monkeypatch.setattr(started, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))


def test_who_still_logs_is_waited_for(tmp_path: Path) -> None:
    assert 7 * LOOK > started.START_SECONDS
    started.wait_until_ready([Starting(tmp_path / "log", serves=7, says=7)], [])


def test_who_is_silent_is_not(tmp_path: Path) -> None:
    with pytest.raises(ServerDied, match=r"does not serve after 120 s of waiting for '.*' in its"):
        started.wait_until_ready([Starting(tmp_path / "log", serves=100, says=2)], [])


def test_nor_is_who_logs_for_ever(tmp_path: Path) -> None:
    with pytest.raises(ServerDied, match="does not serve after 330 s"):
        started.wait_until_ready([Starting(tmp_path / "log", serves=100, says=100)], [])
