"""A job for ``madlib.fit_multiple`` on the tests' tables, and its replay in one process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.datasets import PreparedDataset, one_hot
from experiments.models import codec
from experiments.models.session import Session
from experiments.specs.model import derive_seed
from experiments.warehouse import states
from experiments.warehouse.call import Call
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.record import Step

MODELS = 3
WORKERS = 2
SEED = 5


def model_job(model: int) -> dict[str, Any]:
    return {
        "architecture": "probe",
        "input_shape": [8, 8, 1],
        "classes": 4,
        "batch_size": 32,
        "learning_rate": 1e-3 * (model + 1),
        "regularization": 1e-4,
    }


def fit_job(epochs: int = 1, known: Sequence[Step] = (), **changes: Any) -> dict[str, Any]:
    models = list(range(MODELS))
    return {
        "models": [{"model": model_job(model), "seed": 17} for model in models],
        "warm": [{"model": model_job(0)}],
        "workers": WORKERS,
        "seed": SEED,
        "rounds": [
            {"number": epoch, "entries": [[model, epoch] for model in models]}
            for epoch in range(1, epochs + 1)
        ],
        "averages": False,
        "hop_epochs": 0,
        "evaluations": {"unit": [], "round": ["valid"]},
        "policy": "round_robin",
        "visits": None,
        "tables": {"train": "train content", "valid": "valid content"},
        "known": [list(step) for step in known],
        **changes,
    }


def heard(call: Call) -> list[dict[str, Any]]:
    """All messages until the call is done."""
    messages = []
    while (message := call.receive()) is not None:
        messages.append(dict(message))
    return messages


def held(cluster: Cluster) -> dict[tuple[int, int], int]:
    """(model, version) of every state in the model table, and the segment that has it."""
    with cluster.session() as session, session.cursor() as cursor:
        cursor.execute("SELECT mst_key, version, __dist_key__ FROM madlib_model WHERE part = 0")
        return {(model, version): key for model, version, key in cursor.fetchall()}


def visited(cluster: Cluster) -> list[tuple[int, int, int]]:
    """(model, version, segment) of all committed training, in each model's order."""
    with cluster.session() as session, session.cursor() as cursor:
        cursor.execute(
            "SELECT mst_key, version, __dist_key__ FROM madlib_visit WHERE kind = 'train' "
            "ORDER BY 1, 2"
        )
        return list(cursor.fetchall())


def check_replay(cluster: Cluster, dataset: PreparedDataset, epochs: int = 1) -> None:
    """Every model's last state is what its visits give in one process, one after the other."""
    session = Session(2**26)
    states_held, order = held(cluster), visited(cluster)
    for model in range(MODELS):
        work = model_job(model)
        session.load(work, session.initial_state(work, 17))
        stops = [(version, key) for number, version, key in order if number == model]
        assert [version for version, _ in stops] == list(range(1, epochs * WORKERS + 1))
        for version, key in stops:
            part = dataset.partition("train", key)
            epoch = (version + WORKERS - 1) // WORKERS
            session.train_start(work, derive_seed(SEED, "unit", model, epoch, key))
            session.train_rows(np.array(part.x), one_hot(np.array(part.y), dataset.classes))
            session.train_finish()
        assert [v for number, v in states_held if number == model] == [epochs * WORKERS]
        holder = cluster.segments[states_held[model, epochs * WORKERS]]
        with cluster.session(holder) as connection:
            found = codec.decode(states.fetch(connection, model, epochs * WORKERS))
        expected = codec.decode(session.dump())
        np.testing.assert_allclose(found.weights, expected.weights, atol=1e-6, rtol=1e-6)
        np.testing.assert_allclose(found.optimizer, expected.optimizer, atol=1e-6, rtol=1e-6)
