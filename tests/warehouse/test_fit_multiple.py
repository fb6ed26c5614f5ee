"""One CALL for a whole job: batches, hops, versions, and what happens between two commits."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg2
import pytest

from experiments.datasets import SPLITS, PreparedDataset
from experiments.errors import DataError, PlanError, ReproduceError
from experiments.paths import state
from experiments.runtime.local import LocalRuntime
from experiments.specs.secrets import Secrets
from experiments.specs.topology import COORDINATOR, SEGMENT
from experiments.warehouse import call as call_module
from experiments.warehouse import states
from experiments.warehouse.call import Call
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import Segment
from experiments.warehouse.load import load
from experiments.warehouse.pack import pack
from experiments.warehouse.record import Step
from experiments.warehouse.unit_tables import make_unit_tables
from tests.warehouse.in_sql import MODELS, WORKERS, check_replay, fit_job, heard, held, visited

EVERY_UNIT = {
    Step(kind, model, key, 1)
    for kind in ("train", "valid")
    for model in range(MODELS)
    for key in range(WORKERS)
}


@pytest.fixture
def empty(cluster: Cluster, unit_tables: None) -> Iterator[Cluster]:
    """A cluster whose tables of models and visits are empty, before and after."""
    _empty(cluster)
    yield cluster
    _empty(cluster)


def _empty(cluster: Cluster) -> None:
    for segment in cluster.segments:
        with cluster.session(segment) as session, session.cursor() as cursor:
            cursor.execute("TRUNCATE madlib_model, madlib_schedule, madlib_visit")
            cursor.execute("DROP FUNCTION IF EXISTS fault() CASCADE")


@contextlib.contextmanager
def calling(cluster: Cluster, **changes: Any) -> Iterator[Call]:
    call = Call(cluster, lambda: fit_job(**changes))
    call.start()
    try:
        yield call
    finally:
        call.close()


def at_commit(cluster: Cluster, key: int, version: int, action: str) -> None:
    """Have segment ``key`` do something when it commits its first state of a version."""
    with cluster.session(cluster.segments[key]) as session, session.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {action} RETURN NULL; END $$;"
            "CREATE CONSTRAINT TRIGGER fault AFTER INSERT ON madlib_visit "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
            f"WHEN (NEW.kind = 'train' AND NEW.version = {version}) EXECUTE FUNCTION fault()"
        )


def finished(messages: list[dict[str, Any]]) -> list[Step]:
    return [
        Step(*(message[name] for name in Step._fields))
        for message in messages
        if message["event"] == "finished"
    ]


def test_a_call_trains_and_evaluates_everything(empty: Cluster, dataset: PreparedDataset) -> None:
    with calling(empty, epochs=2) as call:
        messages = heard(call)
    assert len(finished(messages)) == 2 * len(EVERY_UNIT)
    assert {step for step in finished(messages) if step.epoch == 1} == EVERY_UNIT
    check_replay(empty, dataset, epochs=2)
    events = [message["event"] for message in messages]
    assert events[events.index("ready") + 1] == "round"
    assert events.count("round_finished") == 2
    started = [m["steps"] for m in messages if m["event"] == "started"]
    batches = [steps for steps in started if Step(*steps[0]).kind == "train"]
    assert [len(batch) for batch in batches] == [2, 2, 2] * 2


@pytest.mark.parametrize("policy", ["longest_first", "random"])
def test_other_policies_go_in_batches_too(
    policy: str, empty: Cluster, dataset: PreparedDataset
) -> None:
    with calling(empty, policy=policy) as call:
        assert set(finished(heard(call))) == EVERY_UNIT
    check_replay(empty, dataset)


def test_both_segments_train_at_the_same_time(empty: Cluster) -> None:
    with calling(empty) as call:
        messages = [m for m in heard(call) if m["event"] == "finished" and m["kind"] == "train"]
    spans = [next(s for s in m["report"]["spans"] if s[0] == "train") for m in messages]
    overlaps = [
        max(one[1], other[1]) < min(one[2], other[2])
        for one, other in zip(spans[::2], spans[1::2], strict=True)
    ]
    assert any(overlaps)


def test_a_state_hops_in_parts_and_is_cut_nowhere(
    empty: Cluster, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size of a part, the same bytes come out."""
    with calling(empty) as call:
        heard(call)
    (model, version), key = next(iter(held(empty).items()))
    with empty.session(empty.segments[key]) as session, session.cursor() as cursor:
        whole = bytes(states.fetch(session, model, version))
        cursor.execute("DELETE FROM madlib_model WHERE mst_key = %s", (model,))
        pieces = [whole[at : at + 999] for at in range(0, len(whole), 999)]
        for part, piece in enumerate(pieces):
            cursor.execute(
                "INSERT INTO madlib_model VALUES (%s, %s, %s, %s, %s, %s)",
                (key, model, version, part, len(pieces), psycopg2.Binary(piece)),
            )
        assert states.fetch(session, model, version) == whole
        cursor.execute("DELETE FROM madlib_model WHERE mst_key = %s AND part = 1", (model,))
        with pytest.raises(states.StateMissing, match=f"version {version} of model {model}"):
            states.fetch(session, model, version)


def test_when_one_segment_commits_and_the_other_fails_the_batch_is_finished_later(
    empty: Cluster, dataset: PreparedDataset
) -> None:
    """Segments commit one after the other, so one of the two faults comes between the commits."""
    torn = [break_a_commit(empty, dataset, key) for key in range(WORKERS)]
    assert any(torn)


def break_a_commit(cluster: Cluster, dataset: PreparedDataset, key: int) -> bool:
    """Fail segment ``key``'s commit, then go on; whether the other one had committed by then."""
    _empty(cluster)
    at_commit(cluster, key, 2, "RAISE EXCEPTION 'no commit here';")
    with calling(cluster) as call, pytest.raises(ReproduceError, match="no commit here"):
        heard(call)
    before, order = held(cluster), visited(cluster)
    last = {model: version for model, version, _ in order}
    for model, version in last.items():
        assert (model, version) in before
    torn = {model for model, version in last.items() if (model, version - 1) in before}
    with cluster.session(cluster.segments[key]) as session, session.cursor() as cursor:
        cursor.execute("DROP FUNCTION fault() CASCADE")
    committed = {Step("train", model, partition, 1) for model, _, partition in order}
    with calling(cluster) as call:
        messages = heard(call)
    ready = [message["event"] for message in messages].index("ready")
    assert set(finished(messages[:ready])) == committed
    assert set(finished(messages[ready:])) == EVERY_UNIT - committed
    assert set(order) <= set(visited(cluster))
    check_replay(cluster, dataset)
    return any(last[model] == 2 for model in torn)


def test_no_model_is_ever_without_a_state(empty: Cluster) -> None:
    """Seen from outside: version n is not removed before n + 1 is committed."""
    seen: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        with empty.session() as session, session.cursor() as cursor:
            while not stop.is_set():
                cursor.execute(
                    "SELECT v.mst_key, max(v.version), (SELECT max(m.version) FROM madlib_model m "
                    "WHERE m.mst_key = v.mst_key) FROM madlib_visit v WHERE kind = 'train' "
                    "GROUP BY v.mst_key"
                )
                for model, wanted, there in cursor.fetchall():
                    if there is None:
                        seen.append(f"model {model} has no state though {wanted} was written")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with calling(empty, epochs=3) as call:
            heard(call)
    finally:
        stop.set()
        watcher.join()
    assert not seen


def test_a_plan_that_moves_rows_is_refused_before_it_runs(empty: Cluster) -> None:
    with empty.session() as session, session.cursor() as cursor:
        for key in range(WORKERS):
            cursor.execute(f"ALTER SERVER segment_{key} OPTIONS (DROP extensions)")
    try:
        with calling(empty) as call, pytest.raises(PlanError, match="extensions"):
            heard(call)
    finally:
        with empty.session() as session, session.cursor() as cursor:
            for key in range(WORKERS):
                cursor.execute(f"ALTER SERVER segment_{key} OPTIONS (ADD extensions 'cerebro_ds')")
    assert held(empty) == {}


def test_a_journal_that_knows_more_than_the_database_is_refused(empty: Cluster) -> None:
    known = [Step("train", 0, 1, 1)]
    with (
        calling(empty, known=known) as call,
        pytest.raises(DataError, match="partition 1 in epoch 1 is finished, but the database"),
    ):
        heard(call)


def test_a_cancelled_call_ends_its_sessions_on_the_segments(empty: Cluster) -> None:
    with calling(empty, epochs=50) as call:
        while (message := call.receive()) is not None:
            if message["event"] == "started":
                break
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        busy = 0
        for segment in (None, *empty.segments):
            with empty.session(segment) as session, session.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s",
                    (call_module.APPLICATION,),
                )
                busy += cursor.fetchone()[0]
        if not busy:
            return
        time.sleep(0.05)
    pytest.fail(f"{busy} sessions are left")


def test_passwords_of_peers_are_in_no_log(topology: Any, cluster: Cluster) -> None:
    logs = (state().clusters / "warehouse-tests" / "logs").glob("*.log")
    text = "".join(path.read_text(errors="replace") for path in logs)
    assert cluster.password not in text


@pytest.fixture(scope="module")
def mortal(dataset: PreparedDataset) -> Iterator[tuple[LocalRuntime, Any, Cluster]]:
    """A cluster of its own, whose segments may be killed."""
    with LocalRuntime(state().clusters / "mortal") as runtime:
        topology = runtime.make_topology("mortal", WORKERS, threads=1)
        runtime.start(topology, ("segment", "coordinator"))
        cluster = Cluster(
            topology.coordinator,
            tuple(Segment(key, *endpoint) for key, endpoint in enumerate(topology.segments)),
            Secrets(topology.secrets).password(),
        )
        cluster.setup()
        for split in SPLITS:
            load(cluster, dataset, split, split)
            pack(cluster, split, dataset.input_shape, dataset.classes, buffer_bytes=50 * 256)
        make_unit_tables(cluster)
        yield runtime, topology, cluster
        runtime.stop(purge=True)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_segment_killed_between_the_two_commits_loses_nothing_that_was_committed(
    victim: int, mortal: tuple[LocalRuntime, Any, Cluster], dataset: PreparedDataset
) -> None:
    """Its commit hangs while the other one's may be done; then it is killed and started again."""
    runtime, topology, cluster = mortal
    _empty(cluster)
    at_commit(cluster, victim, 2, "PERFORM pg_advisory_xact_lock(7); PERFORM pg_sleep(600);")
    killed = threading.Event()

    def kill_it() -> None:
        with cluster.session(cluster.segments[victim]) as session, session.cursor() as cursor:
            found = 0
            while not found:
                time.sleep(0.02)
                cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
                (found,) = cursor.fetchone()
        time.sleep(0.2)
        os.kill(runtime.pids()[SEGMENT, victim], signal.SIGKILL)
        killed.set()
        while runtime.alive():
            time.sleep(0.02)
        runtime.start(topology, ("segment", "coordinator"))
        with cluster.session(cluster.segments[victim]) as session, session.cursor() as cursor:
            cursor.execute("DROP FUNCTION IF EXISTS fault() CASCADE")

    killer = threading.Thread(target=kill_it)
    killer.start()
    known: set[Step] = set()
    call = Call(cluster, lambda: fit_job(epochs=2, known=sorted(known)))
    call.start()
    try:
        steps = []
        while (message := call.receive()) is not None:
            for step in finished([dict(message)]):
                steps.append(step)
                known.add(step)
    finally:
        call.close()
        killer.join()
    assert killed.is_set()
    assert len(steps) == len(set(steps)) == 2 * len(EVERY_UNIT)
    check_replay(cluster, dataset, epochs=2)


@pytest.mark.parametrize("role", [COORDINATOR, "backend"])
def test_a_call_survives_the_coordinator_and_a_crash_inside_a_segment(
    role: str, mortal: tuple[LocalRuntime, Any, Cluster], dataset: PreparedDataset
) -> None:
    runtime, topology, cluster = mortal
    _empty(cluster)
    known: set[Step] = set()
    call = Call(cluster, lambda: fit_job(known=sorted(known)))
    call.start()
    killed = False
    try:
        while (message := call.receive()) is not None:
            known.update(finished([dict(message)]))
            if len(known) == 3 and not killed:
                killed = True
                if role == COORDINATOR:
                    os.kill(runtime.pids()[COORDINATOR, 0], signal.SIGKILL)
                    while runtime.alive():
                        time.sleep(0.02)
                    runtime.start(topology, ("segment", "coordinator"))
                else:
                    os.kill(backend_of(cluster, 1), signal.SIGKILL)
    finally:
        call.close()
    assert killed
    assert known == EVERY_UNIT
    check_replay(cluster, dataset)


def backend_of(cluster: Cluster, key: int) -> int:
    """Process of the call's session on a segment."""
    with cluster.session(cluster.segments[key]) as session, session.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s",
            (call_module.APPLICATION,),
        )
        (pid,) = cursor.fetchone()
        return int(pid)


def test_a_segment_that_does_not_come_back_is_named(
    mortal: tuple[LocalRuntime, Any, Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, topology, cluster = mortal
    _empty(cluster)
    monkeypatch.setattr(call_module, "RETURN_SECONDS", 1.0)
    call = Call(cluster, fit_job)
    call.start()
    try:
        while (message := call.receive()) is not None and message["event"] != "started":
            pass
        os.kill(runtime.pids()[SEGMENT, 1], signal.SIGKILL)
        with pytest.raises(ReproduceError, match=r"segment 1 at .* does not answer"):
            heard(call)
    finally:
        call.close()
        while runtime.alive():
            time.sleep(0.02)
        runtime.start(topology, ("segment", "coordinator"))
    assert np.all([key in (0, 1) for key in held(cluster).values()])
