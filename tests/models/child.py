"""Trains the same rows in a process of its own: ``child.py FRAMEWORK RESULT.npz``."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from experiments.models import codec, frameworks
from experiments.models.session import Session

SHAPE, CLASSES = (16, 16, 1), 5


def job_of(architecture: str, **changes: Any) -> dict[str, Any]:
    return {
        "architecture": architecture,
        "input_shape": SHAPE,
        "classes": CLASSES,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "regularization": 1e-2,
        **changes,
    }


def main(framework: str, result: str) -> None:
    frameworks.set_threads(1)
    frameworks.deterministic()
    generator = np.random.default_rng(0)
    x = generator.standard_normal((40, *SHAPE), np.float32)
    x.flags.writeable = False  # as np.frombuffer gives it
    y = np.eye(CLASSES, dtype=np.int16)[generator.integers(0, CLASSES, 40)]
    session = Session(0, framework)
    found: dict[str, Any] = {}

    def train(job: dict[str, Any], state: bytes, seed: int, batches: int) -> bytes:
        session.load(job, state)
        session.train_start(job, seed)
        session.train_rows(x[: 16 * batches], y[: 16 * batches])
        session.train_finish()
        return session.dump()

    for architecture in ("vgg-tiny", "resnet-tiny", "probe"):
        job = job_of(architecture)
        session.warm(job)
        start = session.initial_state(job, 11)
        found[f"{architecture}/start"] = np.frombuffer(start, np.uint8)
        session.load(job, start)
        session.evaluate_start(job)
        session.evaluate_rows(x, y)
        outcome = session.evaluate_finish()
        found[f"{architecture}/eval"] = np.array(
            [outcome.loss_sum, outcome.top1_correct, outcome.top5_correct]
        )
        once = codec.decode(train(job, start, 1, batches=1))
        found[f"{architecture}/weights"], found[f"{architecture}/moments"] = (
            once.weights,
            once.optimizer,
        )

    job = job_of("probe")
    start = session.initial_state(job, 11)
    hopped = train(job, train(job, start, 1, batches=2), 2, batches=2)
    session.load(job, start)
    for seed in (1, 2):
        session.train_start(job, seed)
        session.train_rows(x[:20], y[:20])
        session.train_rows(x[20:32], y[20:32])
        session.train_finish()
    found["hopped"], found["sequential"] = (
        np.frombuffer(state, np.uint8) for state in (hopped, session.dump())
    )
    found["other-mask"] = np.frombuffer(train(job, hopped, 3, batches=2), np.uint8)
    found["counts"] = np.array([session.builds, session.traces])
    np.savez(result, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
