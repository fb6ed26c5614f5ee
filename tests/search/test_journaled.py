"""A search whose state is a journal: whatever is cut off it, nothing is asked twice or lost."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from pathlib import Path

import pytest

from experiments.search.journaled import Entry, Search, assignments_of, drawn, steps
from experiments.search.registry import SEARCHERS
from experiments.telemetry.journal import Event, Journal, read
from tests.search.playing import bowl, search_spec

NAMES = ("random", "tpe", "asha", "hyperband")
EPOCHS = 4


def search(name: str, journal: Journal) -> Search:
    spec = search_spec(name, trials=6, reduction=2, batches=name == "tpe")
    return Search(SEARCHERS[name](spec, EPOCHS, 1), journal)


def evaluate(journal: Journal, entry: Entry, loss: float) -> None:
    journal.append("evaluated", model=entry.model, epoch=entry.epoch, split="valid", loss=loss)


def carry_out(name: str, path: Path) -> list[Event]:
    """Search to the end, or what is left of it, one entry after the other."""
    with Journal(path, "test") as journal:
        going = search(name, journal)
        while entries := going.open():
            assert len(entries) <= 3
            evaluate(journal, entries[0], bowl(going.configs[entries[0].model], entries[0].epoch))
    return list(read(path))


def asked(events: list[Event]) -> list[tuple[int, int]]:
    return [(a.model, a.stop) for e in events if e.kind == "asked" for a in assignments_of(e)]


def told(events: list[Event]) -> list[tuple[int | None, int | None, float]]:
    return [(e.model, e.epoch, e.detail["loss"]) for e in events if e.kind == "told"]


@pytest.mark.parametrize("name", NAMES)
def test_a_journal_cut_anywhere_goes_on_to_the_same_end(name: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    events = carry_out(name, whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    for cut in range(0, len(lines), 3):
        path = tmp_path / f"{cut}.jsonl"
        torn = lines[cut][: len(lines[cut]) // 2]
        path.write_bytes(b"".join(lines[:cut]) + torn)
        again = carry_out(name, path)
        assert asked(again) == asked(events)
        assert told(again) == told(events)
        assert drawn(again) == drawn(events)


@pytest.mark.parametrize("name", NAMES)
def test_every_assignment_is_trained_epoch_by_epoch_and_told_once(
    name: str, tmp_path: Path
) -> None:
    events = carry_out(name, tmp_path / "journal.jsonl")
    evaluated = [(e.model, e.epoch) for e in events if e.kind == "evaluated"]
    assert max(Counter(evaluated).values()) == 1
    for model in range(6):
        epochs = [epoch for of, epoch in evaluated if of == model]
        assert epochs == list(range(1, len(epochs) + 1))
    assert sorted(asked(events)) == sorted((m, e) for m, e, _ in told(events))
    for event in events:
        if event.kind in {"asked", "told"}:
            assert event.detail["seconds"] >= 0


def test_a_loss_that_is_no_number_ends_the_configuration_and_frees_its_slot(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path / "journal.jsonl", "test") as journal:
        going = search("random", journal)
        first = going.open()
        assert first == [Entry(0, 1), Entry(1, 1), Entry(2, 1)]
        journal.append("evaluated", model=1, epoch=1, split="valid", loss="nan")
        evaluate(journal, Entry(0, 1), 0.5)
        assert going.open() == [Entry(0, 2), Entry(2, 1), Entry(3, 1)]
        (ended,) = [event for event in read(journal.path) if event.kind == "told"]
    assert (ended.model, ended.epoch, ended.detail["diverged"]) == (1, 1, True)
    assert math.isnan(float(ended.detail["loss"]))


def test_asking_again_without_news_changes_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", "test") as journal:
        going = search("asha", journal)
        first = going.open()
        before = journal.path.read_bytes()
        assert going.open() == first
        assert journal.path.read_bytes() == before


def test_what_was_known_at_each_question_is_recorded(tmp_path: Path) -> None:
    events = carry_out("tpe", tmp_path / "journal.jsonl")
    assert [step.told for step in steps(events)] == [0, 0, 0, 3, 3, 3]


def test_a_result_that_was_evaluated_but_not_told_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    carry_out("random", path)
    kept = []
    for line in path.read_text().splitlines():
        if json.loads(line)["kind"] == "told":
            break
        kept.append(line + "\n")
    shutil.copy(path, tmp_path / "copy")
    path.write_text("".join(kept))
    with Journal(path, "test") as journal:
        search("random", journal).open()
    assert len(told(list(read(path)))) == 1
