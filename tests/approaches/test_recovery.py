"""Waiting for a server that died, within bounds, and nothing but that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from experiments.approaches import recovery
from experiments.approaches.recovery import Recovery
from experiments.errors import ServerDied


def failing(times: int, error: type[Exception] = ServerDied) -> Callable[[], str]:
    """Fails so often, then answers."""
    answers: Iterator[Exception | None] = iter([error(f"{n}") for n in range(times)] + [None] * 9)

    def call() -> str:
        if (raised := next(answers)) is not None:
            raise raised
        return "done"

    return call


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "LOOK_SECONDS", 0.001)


def test_a_server_that_comes_back_is_waited_for() -> None:
    assert Recovery().back(failing(5), ServerDied("first")) == "done"


def test_a_server_that_stays_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "RETURN_SECONDS", 0.05)

    def away() -> None:
        raise ServerDied("the database at 127.0.0.1:1 does not answer")

    with pytest.raises(ServerDied, match=r"waited 0.05 s in vain: the database at 127.0.0.1:1"):
        Recovery().back(away, ServerDied("first"))


def test_failures_of_the_work_are_not_tried_again() -> None:
    with pytest.raises(ValueError, match="0"):
        Recovery().back(failing(1, ValueError), ServerDied("first"))
    with pytest.raises(ValueError, match="0"):
        Recovery().persist(failing(1, ValueError), failing(0))


def test_work_is_begun_again_a_bounded_number_of_times() -> None:
    assert Recovery().persist(failing(recovery.ATTEMPTS - 1), failing(0)) == "done"
    with pytest.raises(ServerDied, match=str(recovery.ATTEMPTS - 1)):
        Recovery().persist(failing(recovery.ATTEMPTS), failing(0))


def test_stopping_ends_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "LOOK_SECONDS", 60.0)
    waiting = Recovery()
    threading.Timer(0.05, waiting.stop).start()
    begun = time.monotonic()
    with pytest.raises(ServerDied, match="first"):
        waiting.back(failing(1), ServerDied("first"))
    assert time.monotonic() - begun < 5
