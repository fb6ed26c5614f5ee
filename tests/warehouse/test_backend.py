"""Training inside a segment: the same numbers as outside, hops in rows and files, cancelling."""

from __future__ import annotations

import math
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import psycopg2.extensions
import pytest

from experiments.datasets import PreparedDataset, one_hot
from experiments.errors import ReproduceError
from experiments.models import codec
from experiments.models.session import Session
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.targeted import TargetedQueries


def job(seed: int = 5, batch_size: int = 32) -> dict[str, Any]:
    model = {
        "architecture": "probe",
        "input_shape": [8, 8, 1],
        "classes": 4,
        "batch_size": batch_size,
        "learning_rate": 1e-3,
        "regularization": 1e-4,
    }
    return {"model": model, "seed": seed}


def outside(dataset: PreparedDataset, key: int, state: bytes, seed: int) -> bytes:
    session = Session(0)
    work = job(seed)
    session.load(work["model"], state)
    session.train_start(work["model"], seed)
    part = dataset.partition("train", key)
    session.train_rows(np.array(part.x), one_hot(np.array(part.y), dataset.classes))
    session.train_finish()
    return bytes(session.dump())


@pytest.mark.usefixtures("tables")
def test_training_inside_a_segment_equals_training_outside(
    queries: TargetedQueries, dataset: PreparedDataset, store: Path
) -> None:
    files = [str(store / f"v{version}") for version in range(3)]
    queries.create(0, job(), files[0])
    first = queries.unit(0, "train", job(seed=7), files[0], files[1])
    second = queries.unit(1, "train", job(seed=8), files[1], files[2])
    assert first["rows"] + second["rows"] == 301
    state = Path(files[0]).read_bytes()
    for key, seed, file in ((0, 7, files[1]), (1, 8, files[2])):
        state = outside(dataset, key, state, seed)
        inside = codec.decode(Path(file).read_bytes())
        expected = codec.decode(state)
        np.testing.assert_allclose(inside.weights, expected.weights, atol=1e-6)
        np.testing.assert_allclose(inside.optimizer, expected.optimizer, atol=1e-6)


@pytest.mark.usefixtures("tables")
def test_buffers_stay_decoded_and_models_stay_built(queries: TargetedQueries, store: Path) -> None:
    files = [str(store / name) for name in "abc"]
    queries.create(0, job(), files[0])
    first = queries.unit(0, "train", job(), files[0], files[1])["counters"]
    second = queries.unit(0, "train", job(), files[1], files[2])["counters"]
    assert first["buffer_misses"] == second["buffer_hits"] > 1
    assert first["buffer_hits"] == second["buffer_misses"] == 0
    assert first["builds"] == second["builds"] == 1
    assert first["traces"] == second["traces"]


@pytest.mark.usefixtures("tables")
def test_spans_tell_fetching_training_and_hopping_apart(
    queries: TargetedQueries, store: Path
) -> None:
    queries.warm(0, job())
    queries.create(0, job(), str(store / "a"))
    before = time.monotonic_ns()
    report = queries.unit(0, "train", job(), str(store / "a"), str(store / "b"))
    after = time.monotonic_ns()
    length: dict[str, int] = {}
    for phase, start, end, _ in report["spans"]:
        assert before <= start <= end <= after
        length[phase] = length.get(phase, 0) + end - start
    assert set(length) == {"data_transmission", "train", "model_transmission"}
    assert all(length.values())
    assert sum(length.values()) <= after - before


@pytest.mark.usefixtures("tables")
def test_a_model_that_diverges_reports_nan(queries: TargetedQueries, store: Path) -> None:
    wild = job()
    wild["model"]["learning_rate"] = 1e30
    queries.create(0, wild, str(store / "a"))
    trained = queries.unit(0, "train", wild, str(store / "a"), str(store / "b"))
    assert not math.isfinite(float(trained["loss"]))
    found = queries.unit(0, "valid", wild, str(store / "b"), None)
    assert not math.isfinite(float(found["loss"]))
    assert found["metrics"] == {"top1_error": 1.0, "top5_error": 1.0}


@pytest.mark.usefixtures("tables")
def test_evaluation_over_the_segments_equals_evaluating_all_rows(
    queries: TargetedQueries, dataset: PreparedDataset, store: Path
) -> None:
    queries.create(0, job(), str(store / "a"))
    parts = [queries.unit(key, "valid", job(), str(store / "a"), None) for key in (0, 1)]
    session = Session(0)
    session.load(job()["model"], (store / "a").read_bytes())
    session.evaluate_start(job()["model"])
    for key in (0, 1):
        part = dataset.partition("valid", key)
        session.evaluate_rows(np.array(part.x), one_hot(np.array(part.y), dataset.classes))
    whole = session.evaluate_finish()
    rows = sum(part["rows"] for part in parts)
    assert rows == whole.rows == 64
    loss = sum(part["loss"] * part["rows"] for part in parts)
    assert loss == pytest.approx(whole.loss_sum, rel=1e-5)
    wrong = sum(part["metrics"]["top1_error"] * part["rows"] for part in parts)
    assert wrong == pytest.approx(whole.rows - whole.top1_correct)


def test_a_state_moves_in_rows_of_any_size(cluster: Cluster, store: Path) -> None:
    """``load`` and ``dump`` by rows, as a model table holds them."""
    from experiments.warehouse.dialect import literal

    state = Session(0).initial_state(job()["model"], 3)
    parts = [state[start : start + 1000] for start in range(0, len(state), 1000)]
    with cluster.session(cluster.segments[0]) as session, session.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE model (part integer, bytes bytea)")
        for number, part in enumerate(parts):
            cursor.execute("INSERT INTO model VALUES (%s, %s)", (number, psycopg2.Binary(part)))
        cursor.execute(
            f"SELECT madlib.load({literal(job())}, part, {len(parts)}, bytes ORDER BY part) "
            "FROM model"
        )
        size = {**job(), "part_bytes": 700}
        cursor.execute(f"SELECT * FROM madlib.dump({literal(size)}) ORDER BY part")
        rows = cursor.fetchall()
        with pytest.raises(psycopg2.Error, match="part 1 of"):
            cursor.execute(
                f"SELECT madlib.load({literal(job())}, part, {len(parts)}, bytes ORDER BY part) "
                "FROM model WHERE part <> 0"
            )
    assert {row[1] for row in rows} == {len(rows)}
    assert all(len(row[2]) <= 700 for row in rows)
    dumped = b"".join(bytes(row[2]) for row in rows)
    other = Session(0)
    other.load(job()["model"], state)
    assert dumped == bytes(other.dump())


@pytest.mark.usefixtures("tables")
def test_cancelling_stops_what_runs_and_refuses_what_would_follow(
    queries: TargetedQueries, store: Path
) -> None:
    files = [str(store / name) for name in "abc"]
    queries.create(0, job(), files[0])
    ended: list[BaseException] = []
    begun = threading.Event()

    def run() -> None:
        try:
            while True:
                queries.unit(0, "train", job(batch_size=1), files[0], files[1])
                begun.set()
        except (psycopg2.extensions.QueryCanceledError, ReproduceError) as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(60)
    queries.cancel()
    thread.join()
    assert ended
    with pytest.raises(ReproduceError, match="after a cancel"):
        queries.unit(0, "train", job(), files[0], files[2])
    assert not (store / "c").exists()


@pytest.mark.usefixtures("tables")
def test_a_cancelled_statement_leaves_the_backend_usable(cluster: Cluster, store: Path) -> None:
    """The server's side of a cancel: the next unit of the same backend learns the same."""
    files = [str(store / name) for name in "abc"]
    with closing(TargetedQueries(cluster, "content")) as queries:
        queries.create(0, job(), files[0])
        calm = queries.unit(0, "train", job(), files[0], files[1])
        with cluster.session() as watcher, watcher.cursor() as cursor:
            slow = threading.Thread(target=_until_cancelled, args=(queries, files[0]))
            slow.start()
            while slow.is_alive():
                cursor.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE '%madlib.train%' AND state = 'active' "
                    "AND pid <> pg_backend_pid()"
                )
                time.sleep(0.01)
        again = queries.unit(0, "train", job(), files[0], files[2])
    assert again["loss"] == calm["loss"]
    assert again["counters"]["builds"] == calm["counters"]["builds"]
    assert (store / "c").read_bytes() == (store / "b").read_bytes()


def _until_cancelled(queries: TargetedQueries, source: str) -> None:
    with suppress(psycopg2.extensions.QueryCanceledError):
        while True:
            queries.unit(0, "train", job(batch_size=1), source, f"{source}.aside")


def test_sql_cannot_name_files_outside_the_store(queries: TargetedQueries, store: Path) -> None:
    with pytest.raises(psycopg2.Error, match="outside the model store"):
        queries.create(0, job(), str(store / ".." / ".." / "escape"))


def test_functions_are_not_for_everyone(cluster: Cluster) -> None:
    with cluster.session(cluster.segments[0]) as session, session.cursor() as cursor:
        cursor.execute("CREATE ROLE somebody")
        cursor.execute("GRANT USAGE ON SCHEMA madlib TO somebody; SET ROLE somebody")
        try:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute("SELECT madlib.dump('{}'::json)")
        finally:
            cursor.execute("RESET ROLE; DROP OWNED BY somebody; DROP ROLE somebody")
