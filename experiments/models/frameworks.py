"""Starts TensorFlow or torch under Keras 3: quiet, with bounded threads and memory of its GPU.

Both are imported late, by :func:`start`, because an import takes seconds and hundreds of megabytes
that a process which only reads results must not pay. Keras serves one framework per process.
"""

from __future__ import annotations

import difflib
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from experiments import nvidia
from experiments.errors import SpecError

FRAMEWORKS = ("tensorflow", "torch")

DETERMINISTIC_VARIABLE = "CEREBRO_DS_DETERMINISTIC"
"""Set to anything, it has the effect of :func:`deterministic` in every process that inherits it."""

FRACTION_VARIABLE = "CEREBRO_DS_GPU_FRACTION"
"""Share of its GPU's memory that a process may take; at 1 it takes what it needs, as it needs it.

Which GPU that is, :data:`~experiments.nvidia.VISIBLE_VARIABLE` says; it names one at most.
"""

CPU = "CPU"


@dataclass
class _Process:
    """What this process asked for and what it has started."""

    threads: int | None = None
    deterministic: bool = False
    started: str | None = None
    device: str = CPU


_process = _Process()


def set_threads(count: int) -> None:
    """Bound the threads of TensorFlow and torch in this process.

    Parameters
    ----------
    count : threads of one operation, at least 1; operations do not overlap.

    Raises
    ------
    RuntimeError
        A framework has already started with another number.
    """
    if count < 1:
        raise ValueError(f"a process needs at least one thread, not {count}")
    if _process.started and _process.threads != count:
        raise RuntimeError(f"set_threads({count}) came after {_process.started} had started")
    _process.threads = count


def deterministic() -> None:
    """Allow only operations that give the same bits on every run, at some cost in speed.

    Raises
    ------
    RuntimeError
        A framework has already started without this.
    """
    if _process.started and not _process.deterministic:
        raise RuntimeError(f"deterministic() came after {_process.started} had started")
    _process.deterministic = True


def device() -> str:
    """What this process trains on: its GPU's name, or :data:`CPU`; so too before a framework."""
    return _process.device


UNUSED_BY_TRAINING = ("IPython", "matplotlib", "pandas")
"""Keras imports them where they are installed, to draw and for data frames: a second of 3.4."""


@contextmanager
def _absent(*packages: str) -> Iterator[None]:
    """As if these packages were not installed; those that are imported already stay."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None stops an import
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection, which finds nothing in modules that stay; a fifth of an import.

    What is alive at the end is not looked at by later collections either.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


def start(framework: str) -> None:
    """Import the framework and Keras on top of it; idempotent.

    Raises
    ------
    SpecError
        No such framework.
    RuntimeError
        Keras already runs on the other one in this process.
    EnvironmentFault
        The GPU that this process was given is not there.
    """
    if framework not in FRAMEWORKS:
        near = difflib.get_close_matches(framework, FRAMEWORKS, n=1) or [FRAMEWORKS[0]]
        raise SpecError(f"no framework {framework!r}; did you mean {near[0]!r}?")
    if _process.started == framework:
        return
    if os.environ.get(DETERMINISTIC_VARIABLE):
        _process.deterministic = True
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = framework
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _absent(*UNUSED_BY_TRAINING), _uncollected():
        import keras

    if keras.backend.backend() != framework:
        raise RuntimeError(
            f"this process already runs Keras on {keras.backend.backend()}; "
            f"{framework} needs a process of its own"
        )
    # The user's own ~/.keras/keras.json must not change what is trained.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    _process.device = _start_tensorflow() if framework == "tensorflow" else _start_torch()
    _process.started = framework


def _fraction() -> float:
    return float(os.environ.get(FRACTION_VARIABLE, "1"))


def _start_tensorflow() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus and _fraction() < 1:
        whole = nvidia.one(os.environ[nvidia.VISIBLE_VARIABLE]).memory_bytes
        megabytes = int(_fraction() * whole) // 2**20
        share = tf.config.LogicalDeviceConfiguration(memory_limit=megabytes)
        tf.config.set_logical_device_configuration(gpus[0], [share])
    else:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    if _process.threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(_process.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    if _process.deterministic:
        tf.config.experimental.enable_op_determinism()
    if not gpus:
        return CPU
    return str(tf.config.experimental.get_device_details(gpus[0])["device_name"])


def _start_torch() -> str:
    import torch

    if _process.threads is not None:
        torch.set_num_threads(_process.threads)
    if _process.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    if not torch.cuda.is_available():
        return CPU
    if _fraction() < 1:
        torch.cuda.set_per_process_memory_fraction(_fraction())
    return str(torch.cuda.get_device_name())
