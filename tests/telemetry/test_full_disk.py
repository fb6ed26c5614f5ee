"""A journal on a full disk: the event is refused whole, and what was there stays readable."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from experiments.errors import EnvironmentFault
from experiments.telemetry.journal import Journal, Tail, read


@pytest.mark.parametrize("fits", [0, 1, 30])
def test_a_refused_event_leaves_no_part_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    path = tmp_path / "journal.jsonl"
    write = os.write
    with Journal(path, "run") as journal:
        journal.append("run_started")
        before = path.read_bytes()
        room = fits

        def full(descriptor: int, data: bytes) -> int:
            nonlocal room
            if not room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            room -= (done := write(descriptor, data[:room]))
            return done

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(
                EnvironmentFault, match=r"journal.jsonl: cannot be saved \(No space"
            ):
                journal.append("stage", name="train", seconds=1.0)
        assert path.read_bytes() == before
        journal.append("run_finished")
    assert [event.kind for event in read(path)] == ["run_started", "run_finished"]


def test_a_tail_gives_each_whole_line_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    tail = Tail(path)
    assert not list(tail.events())
    with Journal(path, "run") as journal:
        journal.append("run_started")
        assert [event.kind for event in tail.events()] == ["run_started"]
        line = path.read_bytes()
        with path.open("ab") as torn:
            torn.write(line[:20])
        assert not list(tail.events())
        with path.open("ab") as rest:
            rest.write(line[20:])
        assert [event.kind for event in tail.events()] == ["run_started"]
