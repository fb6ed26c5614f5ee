from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from experiments import nvidia
from experiments.errors import SpecError
from experiments.models import frameworks
from experiments.paths import CHECKOUT
from tests import fake_nvml
from tests.fake_nvml import GIB, Card


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


@pytest.fixture
def share(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give this process a share of a GPU of 40 GiB; no framework has started yet."""
    fake_nvml.install(monkeypatch, Card("GPU-a", memory=40 * GIB))

    def give(fraction: str) -> None:
        monkeypatch.setenv(nvidia.VISIBLE_VARIABLE, "GPU-a")
        monkeypatch.setenv(frameworks.FRACTION_VARIABLE, fraction)
        monkeypatch.setattr(frameworks, "_process", frameworks._Process())

    return give


@pytest.mark.parametrize(("fraction", "bound"), [("0.45", 18 * 1024), ("1", None)])
def test_tensorflow_takes_its_share_of_a_gpu(
    fraction: str,
    bound: int | None,
    share: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tensorflow as tf

    asked: list[object] = []
    config = tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: [f"the {kind}"])
    monkeypatch.setattr(
        config,
        "set_logical_device_configuration",
        lambda gpu, parts: asked.append((gpu, [part.memory_limit for part in parts])),
    )
    monkeypatch.setattr(
        config.experimental, "set_memory_growth", lambda gpu, grows: asked.append((gpu, grows))
    )
    monkeypatch.setattr(
        config.experimental, "get_device_details", lambda _: {"device_name": "NVIDIA A100"}
    )
    share(fraction)
    frameworks.start("tensorflow")
    assert asked == [("the GPU", True if bound is None else [bound])]
    assert frameworks.device() == "NVIDIA A100"


@pytest.mark.parametrize(("fraction", "asked"), [("0.3", [0.3]), ("1", [])])
def test_torch_takes_its_share_of_a_gpu(
    fraction: str,
    asked: list[float],
    share: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    said: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA A100")
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", said.append)
    share(fraction)
    assert frameworks._start_torch() == "NVIDIA A100"
    assert said == asked


def test_without_a_gpu_it_is_the_cpu(
    share: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    share("0.45")
    monkeypatch.setenv(nvidia.VISIBLE_VARIABLE, "")
    frameworks.start("tensorflow")
    assert frameworks.device() == frameworks.CPU
    assert frameworks._start_torch() == frameworks.CPU
