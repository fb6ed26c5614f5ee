"""All that is changed in cerebro-dl 1.1.1, each change with its reason; the package is not edited.

Runs in the package's own environment (``images/locks/cerebro-dl.in``): in the job's process, and in
each of Spark's Python workers. Three patches let it run here; a fourth makes it tell what it does;
a fifth evaluates as everyone does. ``tests/approaches/test_cerebro_dl.py`` holds that each is
needed, and the defects that are left as they are.
"""

from __future__ import annotations

import functools
import importlib
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.models.frameworks import CPU
from experiments.models.measures import Counts
from experiments.models.worker import TRAIN, VALID
from experiments.telemetry.clock import UnitClock
from experiments.telemetry.journal import number

LOOPBACK = "lo"
"""The interface that the package is told to announce."""

Listener = Callable[[Mapping[str, Any]], None]

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_clock = UnitClock()
_counted: dict[str, Any] = {}


def apply(listener: Listener, leave_out: Iterable[str] = ()) -> None:
    """Import the package and change it.

    Parameters
    ----------
    listener : takes what happens to units, in the job's process.
    leave_out : names of :data:`PATCHES`; for tests.
    """
    for name, patch in PATCHES.items():
        if name not in leave_out:
            patch(listener)


def apply_in_workers() -> None:
    """Import the package and change what matters in Spark's Python workers."""
    keep_signals(_nobody)
    listen_on_loopback(_nobody)
    importlib.import_module("cerebro.keras")


def _nobody(_: Mapping[str, Any]) -> None:
    """Nobody listens in a worker; what it has to tell comes back with its answers."""


def keep_signals(_: Listener) -> None:
    """Importing the package sets handlers for SIGTERM, SIGHUP and SIGINT that take no argument.

    So every such signal is a TypeError: Ctrl-C does not stop a job, and Spark's workers outlive it.
    """
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    importlib.import_module("cerebro.commons.constants")
    for each, handler in before.items():
        signal.signal(each, handler)


def accept_legacy_optimizers(_: Listener) -> None:
    """The package calls ``optimizer.get_weights()``, which only Keras' legacy optimizers have.

    But it takes instances of ``tf.keras.optimizers.Optimizer`` only, which legacy ones are not
    since Keras 2.11.
    """
    import tensorflow as tf

    tf.keras.optimizers.Optimizer = tf.keras.optimizers.legacy.Optimizer


def listen_on_loopback(_: Listener) -> None:
    """The package's services listen on every interface of the machine; here on loopback only."""
    common: Any = importlib.import_module("cerebro.backend.spark.service_common")
    if common.find_port is not _find_port:
        common.find_port = _find_port
        for name in ("service_task", "service_driver"):
            service: Any = importlib.import_module(f"cerebro.backend.spark.{name}")
            service.find_port = _find_port


def _find_port(make_server: Callable[[tuple[str, int]], Any]) -> tuple[Any, int]:
    """Like the package's: a server, and its port, which the kernel chooses."""
    server = make_server(("127.0.0.1", 0))
    return server, server.server_address[1]


def tell(listener: Listener) -> None:
    """The package prints dates to the second; this tells of each unit how long its parts took.

    A sub-epoch's function is wrapped before it is sent: its answer then carries a report, which is
    taken off when it arrives.
    """
    backend: Any = importlib.import_module("cerebro.backend.spark.backend")
    task: Any = importlib.import_module("cerebro.backend.spark.service_task")
    keras_util: Any = importlib.import_module("cerebro.keras.spark.util").TFKerasUtil
    make_trainer, make_reader = backend.sub_epoch_trainer, backend._deserialize_keras_model_fn
    fit = keras_util.fit_sub_epoch_fn()

    def sub_epoch_trainer(estimator: Any, *arguments: Any) -> SubEpoch:
        return SubEpoch(estimator.getRunId(), make_trainer(estimator, *arguments))

    backend.sub_epoch_trainer = sub_epoch_trainer
    backend._deserialize_keras_model_fn = lambda: functools.partial(_read_model, make_reader())
    keras_util.fit_sub_epoch_fn = staticmethod(lambda: functools.partial(_fit, fit))

    class Client(task.SparkTaskClient):  # type: ignore[misc, name-defined, unused-ignore]
        """Tells when a worker is given a sub-epoch, and when its end is noticed."""

        def __init__(self, index: int, *arguments: Any) -> None:
            super().__init__(index, *arguments)
            self._step: dict[str, Any] = {"worker": index}

        def execute_sub_epoch(
            self, fn: SubEpoch, store_prefix_path: str, train: bool, initial_epoch: int
        ) -> None:
            self._step |= {
                "kind": TRAIN if train else VALID,
                "run_id": fn.run_id,
                "epoch": initial_epoch + train,
            }
            listener({"event": "started", **self._step})
            super().execute_sub_epoch(fn, store_prefix_path, train, initial_epoch)

        def sub_epoch_completed(self) -> Any:
            answer = super().sub_epoch_completed()
            outcome = answer.sub_epoch_result
            if answer.flag and outcome["status"] == "COMPLETED":
                *result, report = outcome["result"]
                outcome["result"] = result
                listener({"event": "finished", **self._step, "report": report})
            elif answer.flag:
                listener({"event": "failed", **self._step, "error": outcome["error"]})
            return answer

    task.SparkTaskClient = Client


class SubEpoch:
    """A sub-epoch's function, sent to a worker, that times itself and reports.

    Parameters
    ----------
    run_id : the package's name of the model.
    """

    def __init__(self, run_id: str, work: Callable[..., Any]) -> None:
        self.run_id = run_id
        self._work = work

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        _counted.clear()
        _clock.begin()
        result = self._work(*arguments, **named)
        _clock.lap("data_transmission")  # the package resets its reader
        spans = [[s.phase, s.start_ns, s.end_ns, s.bytes] for s in _clock.spans()]
        counters = {"builds": 1, "steps": int(result[1])}
        found = {"metrics": {}, "ranks": {}, **_counted}
        # The TensorFlow in this environment is built for CPUs.
        return (*result, {"spans": spans, "counters": counters, "device": CPU, **found})


def _read_model(read: Callable[..., Any], content: bytes, load: Callable[..., Any]) -> Any:
    """From the sub-epoch's start to a model that is rebuilt from its checkpoint."""
    model = read(content, load)
    _clock.lap("model_transmission", len(content))
    return model


def _fit(fit: Callable[..., Any], epoch: int, model: Any, rows: Any, *others: Any) -> Any:
    """Train; what came before was making the pipeline that reads."""
    import tensorflow as tf

    _clock.lap("data_transmission")
    count = tf.Variable(0, dtype=tf.int64)

    def counted(x: Any, y: Any) -> Any:
        count.assign_add(tf.shape(y[0], out_type=tf.int64)[0])
        return x, y

    history = fit(epoch, model, rows.map(counted), *others)
    loss = float(history.history[cross_entropy.__name__][0])
    _counted.update(rows=int(count.numpy()), loss=number(loss))
    _clock.lap(TRAIN)
    return history


def sent(folder: str) -> None:
    """A checkpoint, if there is one in ``folder``, was copied to the store."""
    _clock.lap("model_transmission", sum(f.stat().st_size for f in Path(folder).rglob("*.h5")))


def cross_entropy(y: Any, logits: Any) -> Any:
    """The metric that the package is given: the loss of each row, without the L2 term."""
    import tensorflow as tf

    return tf.keras.losses.categorical_crossentropy(y, logits, from_logits=True)


def evaluate_as_everyone(_: Listener) -> None:
    """The package's evaluation adds the L2 term to the loss and has no area under the ROC curve.

    The protocol asks for the same evaluation of all approaches, and this counts what all count.
    """
    keras_util: Any = importlib.import_module("cerebro.keras.spark.util").TFKerasUtil
    keras_util.eval_sub_epoch_fn = staticmethod(lambda: _evaluate)


def _evaluate(_: int, model: Any, rows: Any, callbacks: Sequence[Any], __: int) -> list[float]:
    _clock.lap("data_transmission")
    counts = Counts()
    for step, (x, y) in enumerate(rows):
        for callback in callbacks:
            callback.on_test_batch_begin(step)
        counts.add(model.predict_on_batch(x), y[0].numpy().astype(np.int16))
    loss = counts.loss_sum / counts.rows
    errors = {
        "top1_error": 1 - counts.top1_correct / counts.rows,
        "top5_error": 1 - counts.top5_correct / counts.rows,
    }
    _counted.update(rows=counts.rows, loss=number(loss), metrics=errors, ranks=counts.ranks)
    _clock.lap(VALID)
    return [loss, loss]


PATCHES: Mapping[str, Callable[[Listener], None]] = {
    "signals": keep_signals,
    "optimizers": accept_legacy_optimizers,
    "loopback": listen_on_loopback,
    "events": tell,
    "evaluation": evaluate_as_everyone,
}
"""All patches, in the order in which they are applied; the first imports the package."""
