from __future__ import annotations

import subprocess
import sys

import pytest

from experiments.errors import SpecError
from experiments.models import frameworks
from experiments.paths import CHECKOUT


def test_a_started_framework_keeps_its_threads() -> None:
    frameworks.start("tensorflow")
    frameworks.set_threads(1)
    with pytest.raises(RuntimeError, match="after tensorflow had started"):
        frameworks.set_threads(2)


def test_keras_serves_one_framework_per_process() -> None:
    frameworks.start("tensorflow")
    with pytest.raises(RuntimeError, match="torch needs a process of its own"):
        frameworks.start("torch")


def test_an_unknown_framework_gets_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'torch'"):
        frameworks.start("pytorch")


def test_no_thread_is_too_few() -> None:
    with pytest.raises(ValueError, match="at least one"):
        frameworks.set_threads(0)


def test_the_room_is_entered_without_any_framework() -> None:
    script = (
        "import sys; from experiments.models import architectures, session; session.Session(1);"
        "assert not {'keras', 'tensorflow', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=CHECKOUT)


def test_the_linear_model_trains_without_any_framework() -> None:
    script = (
        "import sys; import numpy as np; from experiments.models.session import Session;"
        "job = dict(architecture='linear', input_shape=[4], classes=2, batch_size=2,"
        " learning_rate=0.1, regularization=0.0);"
        "s = Session(1); s.warm(job); s.load(job, s.initial_state(job, 1)); s.train_start(job, 1);"
        "s.train_rows(np.ones((3, 4), np.float32), np.eye(2, dtype=np.int16)[[0, 1, 0]]);"
        "assert s.train_finish().batches == 2; s.dump();"
        "assert not {'keras', 'tensorflow', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=CHECKOUT)


def test_determinism_cannot_come_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frameworks, "_process", frameworks._Process(started="torch"))
    with pytest.raises(RuntimeError, match="after torch had started"):
        frameworks.deterministic()


@pytest.mark.parametrize("framework", ["tensorflow", "torch"])
def test_what_training_does_not_use_is_not_imported(framework: str) -> None:
    """And can be, afterwards."""
    code = (
        "import sys; from experiments.models import frameworks as f;"
        f"f.start({framework!r});"
        "print(sorted({*f.UNUSED_BY_TRAINING} & {*sys.modules}));"
        "import keras, pandas, numpy; keras.Sequential([keras.layers.Dense(1)])"
        ".predict(numpy.zeros((2, 3), 'float32'), verbose=0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
