"""Idle time: gaps of any shape, on clocks that differ; and the visit order of a journal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from experiments.mop.idle import Timeline
from experiments.mop.visits import Visit, visits
from experiments.telemetry.journal import Event, Span

offsets = st.sampled_from([0, 7, -(10**12), 10**15])
steps = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=5)


@given(st.lists(st.tuples(offsets, st.lists(steps, max_size=4)), min_size=1, max_size=4))
def test_spans_and_gaps_fill_the_epoch(
    workers: list[tuple[int, list[list[tuple[int, int]]]]],
) -> None:
    start = 1_000
    timeline = Timeline(len(workers), start)
    idle = [0] * len(workers)
    spent = [0] * len(workers)
    end = start
    for worker, (offset, units) in enumerate(workers):
        now = start
        for unit in units:
            submitted = now
            spans = []
            for pause, length in unit:
                spans.append(Span("train", now + pause + offset, now + pause + length + offset))
                now += pause + length
            spent[worker] += sum(span.end_ns - span.start_ns for span in spans)
            gaps = timeline.cover(worker, spans[::-1], submitted, now)
            idle[worker] += sum(gap.end_ns - gap.start_ns for gap in gaps)
            assert all(gap.phase == "idle" and gap.end_ns > gap.start_ns for gap in gaps)
        end = max(end, now)
    end += 13
    for worker, rest in timeline.close(end):
        idle[worker] += rest.end_ns - rest.start_ns
    for worker in range(len(workers)):
        assert spent[worker] + idle[worker] == end - start


def test_a_worker_that_ran_nothing_was_idle_throughout() -> None:
    timeline = Timeline(2, 100)
    assert timeline.cover(0, [], 110, 120) == []
    assert timeline.cover(0, [Span("train", 110, 200)], 110, 200) == [Span("idle", 100, 110)]
    assert timeline.close(200) == [(1, Span("idle", 100, 200))]


def test_spans_that_overlap_are_covered_once() -> None:
    timeline = Timeline(1, 0)
    spans = [Span("train", 0, 50), Span("data_transmission", 10, 20), Span("train", 60, 70)]
    assert timeline.cover(0, spans, 0, 70) == [Span("idle", 50, 60)]
    assert timeline.close(70) == []


def mark(kind: str, model: int, partition: int, of: str = "train", epoch: int = 1) -> Event:
    return Event(
        kind, "r", 0.0, 0, model=model, partition=partition, epoch=epoch, detail={"kind": of}
    )


def test_visits_are_finished_units_in_order_of_their_last_start() -> None:
    events = [
        Event("epoch_started", "r", 0.0, 0, epoch=1),
        mark("unit_started", 0, 0),
        mark("unit_started", 1, 1),
        mark("unit_finished", 1, 1),
        mark("unit_started", 0, 1),
        mark("unit_finished", 0, 1),
        Event("epoch_started", "r", 0.0, 0, epoch=1),
        mark("unit_started", 0, 0),
        mark("unit_started", 1, 0),
        mark("unit_finished", 1, 0),
        mark("unit_finished", 0, 0),
        mark("unit_started", 0, 0, of="valid"),
        mark("unit_finished", 0, 0, of="valid"),
        mark("unit_started", 0, 0, epoch=2),
    ]
    assert visits(events) == [Visit(1, 1, 1), Visit(1, 0, 1), Visit(1, 0, 0), Visit(1, 1, 0)]
