"""What has to be changed in cerebro-dl 1.1.1, and what is left as it is: both are noticed when a
release mends them.

The scripts run in the package's environment. None starts Spark: what is looked at does not need it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from experiments.paths import CHECKOUT

Run = Callable[..., Any]

LOOK = """
import json, signal, socketserver, sys
from experiments.approaches import cerebro_dl_compat as compat

def look():
    import tensorflow as tf
    from cerebro.backend.spark import service_driver
    from cerebro.keras import SparkEstimator
    from cerebro.keras.spark.util import TFKerasUtil
    found = {"interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler}

    dense = tf.keras.layers.Dense(2, kernel_regularizer="l2", input_shape=(3,))
    model = tf.keras.Sequential([dense])
    loss = tf.keras.losses.CategoricalCrossentropy(from_logits=True)
    adams = {"new": tf.keras.optimizers.Adam, "legacy": tf.keras.optimizers.legacy.Adam}
    for kind, adam in adams.items():
        estimator = SparkEstimator(model=model, optimizer=adam(), loss=loss)
        try:
            estimator._compile_model(estimator._get_keras_utils())
            found[kind] = "works"
        except (AttributeError, ValueError) as error:
            found[kind] = str(error)

    server, _ = service_driver.find_port(lambda at: socketserver.TCPServer(at, None))
    found["listens"] = server.server_address[0]
    server.server_close()

    model.compile(loss=loss, metrics=[compat.cross_entropy])
    x, y = tf.random.normal((8, 3)), tf.one_hot([0, 1] * 4, 2)
    rows = tf.data.Dataset.from_tensor_slices((x, y)).batch(4).map(lambda x, y: ((x,), (y,)))
    own = float(tf.reduce_mean(compat.cross_entropy(y, model(x))))
    found["evaluated"] = TFKerasUtil.eval_sub_epoch_fn()(0, model, rows, [], 0)[0] - own
    return found

left_out = sys.argv[1:]
compat.apply(lambda message: None, left_out)
found = look()
print(json.dumps(found))
"""

ABORTS = """
import json
from types import SimpleNamespace
from experiments.approaches import cerebro_dl_compat as compat
compat.keep_signals(None)
from cerebro.backend import SparkBackend
from cerebro.backend.spark import backend

told = []
class Worker:
    def execute_sub_epoch(self, fn, **_):
        self.model = fn
        told.append(["given", fn])
    def sub_epoch_completed(self):
        failed = {"status": "FAILED", "error": "the disk of this worker is full"}
        done = {"status": "COMPLETED", "result": ({"train_loss": [1.0]}, 1)}
        return SimpleNamespace(flag=True, sub_epoch_result=failed if self.model == "b" else done)
    def notify_workload_complete(self):
        told.append(["ended"])

class Model(str):
    def getRunId(self): return str(self)
    def getEpochs(self): return 0

backend._get_remote_trainer = lambda model, *_: str(model)
spark = SparkBackend(object(), num_workers=2, verbose=0)
spark.settings.polling_period = 0.001
spark.task_clients = [Worker(), Worker()]
try:
    store = SimpleNamespace(prefix_path="")
    spark.train_for_one_epoch([Model(name) for name in "abc"], store, [], [])
except Exception as error:
    told.append(["raised", str(error)])
print(json.dumps(told))
"""

STANDALONE = """
import contextlib, io, json, os, tempfile, threading
from xmlrpc.server import SimpleXMLRPCServer
import dill  # the package pickles functions with it
from cerebro.standalone import cerebro

os.chdir(tempfile.mkdtemp())
asked = []
server = SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False, allow_none=True)
server.register_function(lambda *_: asked.append("execute"), "execute")
server.register_function(lambda: asked.append("is_live") or True, "is_live")
threading.Thread(target=server.serve_forever, daemon=True).start()

rounds = []
def sleep(seconds):  # it would go on like this forever
    rounds.append(seconds)
    if len(rounds) == 3:
        raise KeyboardInterrupt

cerebro.time.sleep = sleep
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.suppress(KeyboardInterrupt):
    address = "http://127.0.0.1:%d" % server.server_address[1]
    cerebro.schedule(
        [address], ["train"], ["valid"], [[1]], [[1]], print, print, print, [{"lr": 1}],
        lambda state: ([0], []), ckpt_root="checkpoints", preload_data_to_mem=False,
    )
print(json.dumps({"asked": asked, "said": said.getvalue()}))
"""


@pytest.fixture(scope="module")
def run(package_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """``run(script, …)``: its last line, in the package's environment."""

    def start(script: str, *arguments: str) -> Any:
        done = subprocess.run(
            [package_python, "-c", script, *arguments],
            cwd=tmp_path_factory.mktemp("package"),
            env={"PYTHONPATH": str(CHECKOUT), "TF_CPP_MIN_LOG_LEVEL": "2", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return start


@pytest.fixture(scope="module")
def bare(run: Run) -> Mapping[str, Any]:
    found: Mapping[str, Any] = run(
        LOOK, "signals", "optimizers", "loopback", "events", "evaluation"
    )
    return found


@pytest.fixture(scope="module")
def patched(run: Run) -> Mapping[str, Any]:
    found: Mapping[str, Any] = run(LOOK)
    return found


def test_it_takes_ctrl_c_away(bare: Mapping[str, Any], patched: Mapping[str, Any]) -> None:
    assert not bare["interrupt"]
    assert patched["interrupt"]


def test_it_takes_no_optimizer_of_todays_keras(
    bare: Mapping[str, Any], patched: Mapping[str, Any]
) -> None:
    assert "get_weights" in bare["new"]
    assert bare["legacy"] == "invalid optimizer type"
    assert patched["legacy"] == "works"


def test_it_listens_on_every_interface(bare: Mapping[str, Any], patched: Mapping[str, Any]) -> None:
    assert bare["listens"] == "0.0.0.0"
    assert patched["listens"] == "127.0.0.1"


def test_its_validation_loss_holds_the_l2_term(
    bare: Mapping[str, Any], patched: Mapping[str, Any]
) -> None:
    assert bare["evaluated"] > 1e-4
    assert patched["evaluated"] == pytest.approx(0, abs=1e-6)


def test_a_sub_epoch_that_fails_ends_the_whole_run(run: Run) -> None:
    told = run(ABORTS)
    assert told[-1][0] == "raised"
    assert "the disk of this worker is full" in told[-1][1]
    assert [event for event in told if event[0] == "ended"] == [["ended"], ["ended"]]
    given = [event[1] for event in told if event[0] == "given"]
    assert given.count("b") == 1  # it is not tried on the other worker
    assert len(given) < 6


def test_its_standalone_scheduler_never_dispatches_a_unit(run: Run) -> None:
    found = run(STANDALONE)
    assert "execute" not in found["asked"]
    assert "name 'model' is not defined" in found["said"]
    assert "Worker 0 failure detected" in found["said"]
