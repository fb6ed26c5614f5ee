from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.errors import SpecError
from experiments.models import codec
from experiments.models.measures import Counts
from experiments.models.session import Session, TrainOutcome

MakeJob = Callable[..., dict[str, Any]]
MakeRows = Callable[..., Any]
Rows = Any


def train(
    session: Session, job: dict[str, Any], seed: int, blocks: list[tuple[Rows, Rows]]
) -> TrainOutcome:
    session.train_start(job, seed)
    for x, y in blocks:
        session.train_rows(x, y)
    return session.train_finish()


def evaluate(session: Session, job: dict[str, Any], x: Rows, y: Rows) -> Counts:
    session.evaluate_start(job)
    session.evaluate_rows(x, y)
    return session.evaluate_finish()


def test_a_hop_equals_sequential_sgd(make_job: MakeJob, make_rows: MakeRows) -> None:
    """Batch normalization, Adam and dropout all cross a hop: same bits as without one."""
    job = make_job()
    partitions = [make_rows(50, seed) for seed in range(3)]
    units = [(seed, partition) for seed, partition in enumerate([0, 2, 1, 1, 0, 2])]
    first, second = Session(0), Session(0)
    start = first.initial_state(job, 7)

    first.load(job, start)
    for seed, partition in units:
        train(first, job, seed, [partitions[partition]])
    sequential = first.dump()

    state = start
    for seed, partition in units:
        worker = second if seed % 2 else first
        worker.load(job, state)
        train(worker, job, seed, [partitions[partition]])
        state = worker.dump()
    assert state == sequential
    assert codec.decode(state).step == len(units) * 4


def test_without_the_optimizer_a_hop_is_not_sequential_sgd(
    session: Session, make_job: MakeJob, make_rows: MakeRows
) -> None:
    job = make_job()
    rows = make_rows(50)
    session.load(job, session.initial_state(job, 7))
    train(session, job, 1, [rows])
    light = session.dump(optimizer=False)
    train(session, job, 2, [rows])
    kept = session.dump()
    session.load(job, light)
    train(session, job, 2, [rows])
    assert session.dump() != kept
    decoded = codec.decode(light)
    assert (decoded.optimizer.size, decoded.step) == (0, 0)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_blocks_of_any_size_train_the_same(
    session: Session, make_job: MakeJob, make_rows: MakeRows, blocks: list[int]
) -> None:
    job = make_job()
    x, y = make_rows(sum(blocks))
    cuts = np.cumsum([0, *blocks])
    start = session.initial_state(job, 3)

    session.load(job, start)
    whole = train(session, job, 5, [(x, y)])
    expected = session.dump()
    session.load(job, start)
    pieces = [(x[a:b].copy(), y[a:b].copy()) for a, b in pairwise(cuts)]
    assert train(session, job, 5, pieces) == whole
    assert session.dump() == expected
    assert (whole.rows, whole.batches) == (sum(blocks), -(-sum(blocks) // 16))


def test_nothing_is_rebuilt_or_retraced(make_rows: MakeRows, make_job: MakeJob) -> None:
    session = Session(0)
    jobs = [make_job(), make_job(architecture="mlp-tiny")]
    for job in jobs:
        session.warm(job)
    states = [session.initial_state(job, 1) for job in jobs]
    before = session.builds, session.traces
    assert before[0] == 2
    for learning_rate, regularization, batch_size in [(1e-1, 0, 16), (1e-3, 1e-2, 7), (0, 1, 32)]:
        for index, job in enumerate(jobs):
            changed = {
                **job,
                "learning_rate": learning_rate,
                "regularization": regularization,
                "batch_size": batch_size,
            }
            session.warm(changed)
            session.load(changed, states[index])
            train(session, changed, 1, [make_rows(45)])
            evaluate(session, changed, *make_rows(33))
            session.load(changed, session.dump())
    assert (session.builds, session.traces) == before


def test_learning_rate_and_regularization_act_after_load(
    session: Session, make_job: MakeJob, make_rows: MakeRows
) -> None:
    start = session.initial_state(make_job(), 1)
    ends = set()
    for changes in ({}, {"learning_rate": 1e-3}, {"regularization": 0.5}):
        job = make_job(**changes)
        session.load(job, start)
        train(session, job, 1, [make_rows(32)])
        ends.add(session.dump())
    assert len(ends) == 3


def test_dropout_masks_derive_from_the_units_seed(
    session: Session, make_job: MakeJob, make_rows: MakeRows
) -> None:
    job = make_job()
    start = session.initial_state(job, 1)
    ends = []
    for seed in (1, 2, 1):
        session.load(job, start)
        train(session, job, seed, [make_rows(40)])
        ends.append(session.dump())
    assert ends[0] == ends[2] != ends[1]


def test_load_and_dump_give_back_the_same_bytes_and_leave_them_alone(
    session: Session, make_job: MakeJob, make_rows: MakeRows
) -> None:
    job = make_job()
    session.load(job, session.initial_state(job, 2))
    train(session, job, 1, [make_rows(40)])
    state = session.dump()
    source = bytearray(state)
    session.load(job, memoryview(source))
    assert session.dump() == state
    train(session, job, 1, [make_rows(40)])
    assert source == state


def test_warm_leaves_a_loaded_state_alone(make_job: MakeJob, make_rows: MakeRows) -> None:
    session = Session(0)
    job = make_job()
    session.load(job, session.initial_state(job, 2))
    before = session.dump()
    session.warm(job)
    session.warm(make_job(architecture="mlp-tiny"))
    assert session.dump() == before


def test_evaluation_counts_as_numpy_does(
    session: Session, make_job: MakeJob, make_rows: MakeRows
) -> None:
    job = make_job(architecture="mlp-tiny")
    x, y = make_rows(53)
    session.load(job, session.initial_state(job, 4))
    outcome = evaluate(session, job, x, y)
    state = codec.decode(session.dump()).weights
    shapes = [(144, 64), (64,), (64, 7), (7,)]
    kernel, bias, head, offset = (
        part.reshape(shape)
        for part, shape in zip(
            np.split(state, np.cumsum([np.prod(shape) for shape in shapes])[:-1]),
            shapes,
            strict=True,
        )
    )
    logits = np.maximum(x.reshape(53, -1) @ kernel + bias, 0) @ head + offset
    rank = (logits > (logits * y).sum(1, keepdims=True)).sum(1)
    losses = np.log(np.exp(logits).sum(1)) - (logits * y).sum(1)
    assert outcome.rows == 53
    assert outcome.top1_correct == (rank == 0).sum()
    assert outcome.top5_correct == (rank < 5).sum()
    assert outcome.loss_sum == pytest.approx(losses.sum(), rel=1e-5)
    assert session.dump() == session.dump()


def test_two_classes_have_no_top_five(
    session: Session, make_job: MakeJob, make_rows: MakeRows
) -> None:
    job = make_job(architecture="mlp-tiny", classes=2, input_shape=[6])
    session.load(job, session.initial_state(job, 1))
    assert evaluate(session, job, *make_rows(20, shape=(6,), classes=2)).top5_correct == 20


def test_flat_rows_and_rows_in_shape_are_the_same(
    session: Session, make_job: MakeJob, make_rows: MakeRows
) -> None:
    job = make_job()
    x, y = make_rows(20)
    session.load(job, session.initial_state(job, 1))
    flat = x.reshape(20, -1)
    flat.flags.writeable = False
    assert evaluate(session, job, flat, y) == evaluate(session, job, x, y)


class Cancelled(Exception):
    pass


def cancel_at(batch: int) -> Callable[[], None]:
    seen = [0]

    def hook() -> None:
        seen[0] += 1
        if seen[0] == batch:
            raise Cancelled

    return hook


def test_a_cancelled_training_must_load_again(make_job: MakeJob, make_rows: MakeRows) -> None:
    session = Session(0)
    job = make_job()
    start = session.initial_state(job, 1)
    session.load(job, start)
    session.between_batches = cancel_at(3)
    session.train_start(job, 1)
    with pytest.raises(Cancelled):
        session.train_rows(*make_rows(100))
    session.between_batches = None
    for again in (
        session.dump,
        session.train_finish,
        lambda: session.train_start(job, 1),
        lambda: session.evaluate_start(job),
    ):
        with pytest.raises(RuntimeError, match="broken off; load a state"):
            again()
    session.load(job, start)
    assert train(session, job, 1, [make_rows(20)]).rows == 20


def test_a_cancelled_evaluation_changes_nothing(
    session: Session, make_job: MakeJob, make_rows: MakeRows
) -> None:
    job = make_job()
    session.load(job, session.initial_state(job, 1))
    before = session.dump()
    session.between_batches = cancel_at(2)
    session.evaluate_start(job)
    with pytest.raises(Cancelled):
        session.evaluate_rows(*make_rows(100))
    session.between_batches = None
    assert session.dump() == before
    assert evaluate(session, job, *make_rows(20)).rows == 20


def test_calls_out_of_order_are_refused(make_job: MakeJob, make_rows: MakeRows) -> None:
    session = Session(0)
    job = make_job()
    with pytest.raises(RuntimeError, match="no state is loaded"):
        session.dump()
    session.load(job, session.initial_state(job, 1))
    with pytest.raises(RuntimeError, match="no training was started"):
        session.train_rows(*make_rows(4))
    with pytest.raises(RuntimeError, match="is not what is loaded"):
        session.train_start(make_job(batch_size=8), 1)
    session.train_start(job, 1)
    with pytest.raises(RuntimeError, match="a pass is under way"):
        session.evaluate_start(job)
    with pytest.raises(RuntimeError, match="in the middle of a pass"):
        session.dump()
    with pytest.raises(RuntimeError, match="no evaluation was started"):
        session.evaluate_finish()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((4, 12, 12, 1)), np.zeros((4, 7), np.int16), "x must be float32"),
        (np.zeros((4, 11, 12, 1), np.float32), np.zeros((4, 7), np.int16), "x must be float32"),
        (np.zeros((4, 144), np.float32), np.zeros((4, 6), np.int16), "y must be int16"),
        (np.zeros((4, 144), np.float32), np.zeros((3, 7), np.int16), "y must be int16"),
        (np.zeros((4, 144), np.float32), np.zeros((4, 7), np.float32), "y must be int16"),
    ],
)
def test_rows_of_another_shape_or_type_are_refused(
    session: Session, make_job: MakeJob, x: Rows, y: Rows, message: str
) -> None:
    job = make_job()
    session.load(job, session.initial_state(job, 1))
    session.train_start(job, 1)
    with pytest.raises(ValueError, match=message):
        session.train_rows(x, y)


def test_a_state_that_does_not_fit_leaves_the_loaded_one(
    session: Session, make_job: MakeJob
) -> None:
    job, other = make_job(), make_job(architecture="mlp-tiny")
    session.load(job, session.initial_state(job, 1))
    before = session.dump()
    with pytest.raises(ValueError, match="the loaded architecture has"):
        session.load(job, session.initial_state(other, 1))
    with pytest.raises(ValueError, match="checksum"):
        session.load(job, before[:-1] + b"\x7f")
    assert session.dump() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "vgg-teeny"}, "did you mean 'vgg-tiny'"),
        ({"batch_size": 0}, "must be positive"),
        ({"learning_rate": "fast"}, "wrong type"),
        ({"learningrate": 1}, "did you mean 'learning_rate'"),
    ],
)
def test_a_bad_job_is_a_users_error(
    session: Session, make_job: MakeJob, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        session.warm(make_job(**changes))


def test_a_job_without_a_field_is_a_users_error(session: Session, make_job: MakeJob) -> None:
    job = make_job()
    del job["classes"]
    with pytest.raises(SpecError, match="needs the field 'classes'"):
        session.load(job, b"")


def test_a_session_works_in_any_thread(make_job: MakeJob, make_rows: MakeRows) -> None:
    job = make_job()
    session = Session(0)
    start = session.initial_state(job, 1)
    session.load(job, start)
    train(session, job, 1, [make_rows(40)])
    expected = session.dump()
    found = []

    def work() -> None:
        other = Session(0)
        other.warm(job)
        other.load(job, start)
        train(other, job, 1, [make_rows(40)])
        found.append(other.dump())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [expected]
