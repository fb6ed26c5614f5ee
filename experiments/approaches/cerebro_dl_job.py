"""One job of cerebro-dl: ``python -m experiments.approaches.cerebro_dl_job``, in its environment.

Reads the job, a JSON object, from standard input; whoever started this holds the other end, and its
end ends the job. Writes messages, one JSON object a line, to standard output; what the package and
Spark print goes to standard error. The phases: Spark starts; the exported rows are cast and
prepared; the models are trained and evaluated by ``cerebro.tune``; their states are saved.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from experiments.approaches import cerebro_dl_compat as compat
from experiments.approaches import cerebro_dl_daemon
from experiments.approaches import cerebro_dl_models as models
from experiments.approaches.spark_settings import JVM_OPTIONS
from experiments.lifetime import die_with_parent
from experiments.mop.store import ModelStore

VALIDATION = "validation"
"""The column that is 1 for rows of the validation set."""

SPARK = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.authenticate": "true",
    "spark.python.daemon.module": cerebro_dl_daemon.__name__,
    "spark.sql.warehouse.dir": "warehouse",
    # A file is one partition, so that worker k is given what segment k exported.
    "spark.sql.files.maxPartitionBytes": str(2**40),
    "spark.sql.files.openCostInBytes": str(2**40),
}


class Messages:
    """Standard output, for messages alone: whatever else is printed goes to standard error."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def __call__(self, event: str, **fields: Any) -> None:
        line = {"event": event, "at": time.monotonic_ns(), **fields}
        print(json.dumps(line, allow_nan=False), file=self._out, flush=True)


def run(job: Mapping[str, Any], say: Messages) -> None:
    """Carry the job out.

    Parameters
    ----------
    job : ``models`` (jobs as workers take them, with their initial ``seed``; none if they come in
        rounds, see :mod:`experiments.approaches.cerebro_dl_search`), ``epochs``, ``classes``,
        ``workers``, ``polling_seconds``, ``master`` (of Spark), ``folder`` (for what lies about,
        and the package's store), ``exported`` (Parquet files of ``train`` and ``valid``, in the
        order of the segments), ``states`` (the run's model store).
    """
    of_model: dict[str, int] = {}

    def tell(message: Mapping[str, Any]) -> None:
        """Messages of the package's in our words: the worker's shard is the partition."""
        fields = {key: value for key, value in message.items() if key != "run_id"}
        fields |= {"model": of_model[message["run_id"]], "partition": message["worker"]}
        if message["event"] == "started":
            step = [fields[name] for name in ("kind", "model", "partition", "epoch")]
            fields["steps"] = [step]
        say(**fields)

    begun = time.monotonic_ns()
    compat.apply(tell)
    spark = _session(job)
    workers = range(job["workers"])
    say("prepared", worker=None, model=None, spans=[["init", begun, time.monotonic_ns(), 0]])
    backend, store = _backend(job, spark, say), _store(job)
    _prepare(job, spark, backend, store, say)
    say("etl_finished")

    search = _search(job, backend, store, of_model)
    begun = time.monotonic_ns()
    backend.initialize_workers()
    backend.initialize_data_loaders(store, [models.FEATURES, models.LABELS])
    ready = time.monotonic_ns()
    for worker in workers:
        say("prepared", worker=worker, model=None, spans=[["init", begun, ready, 0]])
    try:
        _, _, metadata, _ = backend.get_metadata_from_parquet(
            store, [models.LABELS], [models.FEATURES]
        )
        result = search._fit_on_prepared_data(metadata)
    finally:
        backend.teardown_workers()
    kept = ModelStore(Path(job["states"]))
    for trained in result.get_all_models():
        epochs = len(trained.getHistory()["val_loss"])
        state = models.state_of(trained.getModel())
        kept.save(of_model[trained.getRunId()], epochs * job["workers"], state)
    say("done")


def _session(job: Mapping[str, Any]) -> Any:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    builder = SparkSession.builder.master(job["master"]).appName("cerebro-dl")
    for name, value in SPARK.items():
        builder = builder.config(name, value)
    # Its libraries are unpacked there, and /tmp may hold nothing that runs.
    options = f'{JVM_OPTIONS} -Djava.io.tmpdir="{tempfile.gettempdir()}"'
    builder = builder.config("spark.driver.extraJavaOptions", options)
    builder = builder.config("spark.local.dir", f"{job['folder']}/spark")
    return builder.config("spark.default.parallelism", job["workers"]).getOrCreate()


def _store(job: Mapping[str, Any]) -> Any:
    from cerebro.storage import LocalStore

    class Store(LocalStore):  # type: ignore[misc, unused-ignore]
        """Tells when a checkpoint has been copied into it."""

        def sync_fn(self, run_id: str) -> Any:
            sync = super().sync_fn(run_id)

            def timed(folder: str) -> None:
                sync(folder)
                compat.sent(folder)

            return timed

    return Store(f"{job['folder']}/store", temp_dir=job["folder"])


def _backend(job: Mapping[str, Any], spark: Any, say: Messages) -> Any:
    from cerebro.backend import SparkBackend

    class Backend(SparkBackend):  # type: ignore[misc, unused-ignore]
        """Tells when models begin an epoch together."""

        rounds = 0

        def train_for_one_epoch(self, estimators: Any, *others: Any, is_train: bool = True) -> Any:
            if is_train:
                self.rounds += 1
                say("round", number=self.rounds)
            return super().train_for_one_epoch(estimators, *others, is_train=is_train)

    backend = Backend(
        spark.sparkContext,
        num_workers=job["workers"],
        # One thread reads a shard, so that its rows come in one order.
        num_data_readers=1,
        nics=[compat.LOOPBACK],
    )
    backend.settings.polling_period = job["polling_seconds"]
    return backend


def _prepare(job: Mapping[str, Any], spark: Any, backend: Any, store: Any, say: Messages) -> None:
    """Cast the exported rows to vectors, and have the package write them its way.

    Files of training and validation alternate, since Spark joins neighbours when the package asks
    it for fewer partitions.
    """
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as f

    begun = time.monotonic_ns()
    one_hot = f"transform(sequence(0, {job['classes'] - 1}), i -> cast(i = y AS double))"
    exported = [
        spark.read.parquet(file).select(
            array_to_vector(f.col("x").cast("array<double>")).alias(models.FEATURES),
            array_to_vector(f.expr(one_hot)).alias(models.LABELS),
            f.lit(int(split == "valid")).alias(VALIDATION),
        )
        for pair in zip(job["exported"]["train"], job["exported"]["valid"], strict=True)
        for split, file in zip(("train", "valid"), pair, strict=True)
    ]
    # Not cached: Spark would join cached partitions in any order.
    functools.reduce(DataFrame.unionAll, exported).write.parquet(f"{job['folder']}/cast")
    written = sorted(Path(job["folder"], "cast").glob("part-*.parquet"))
    rows = functools.reduce(DataFrame.unionAll, [spark.read.parquet(str(f)) for f in written])
    cast = time.monotonic_ns()
    size = sum(file.stat().st_size for file in written)
    say("prepared", worker=None, model=None, spans=[["etl.cast", begun, cast, size]])
    backend.prepare_data(store, rows, VALIDATION)
    size = sum(file.stat().st_size for file in Path(job["folder"], "store").rglob("*.parquet"))
    packed = [["etl.pack", cast, time.monotonic_ns(), size]]
    say("prepared", worker=None, model=None, spans=packed)


def _search(job: Mapping[str, Any], backend: Any, store: Any, of_model: dict[str, int]) -> Any:
    """Grid search over the run's configurations, the grid's one axis; or what the driver asks."""
    import tensorflow as tf
    from cerebro.keras import SparkEstimator
    from cerebro.tune import GridSearch, hp_choice

    from experiments.approaches.cerebro_dl_search import AskedSearch

    works: dict[int, Mapping[str, Any]] = dict(enumerate(job["models"]))

    def estimator(chosen: Mapping[str, int]) -> Any:
        work = works[chosen["model"]]
        made = SparkEstimator(
            model=models.build(work["model"], work["seed"]),
            optimizer=models.optimizer(work["model"]),
            loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True),
            metrics=[compat.cross_entropy],
            custom_objects={compat.cross_entropy.__name__: compat.cross_entropy},
            batch_size=work["model"]["batch_size"],
        )
        of_model[made.getRunId()] = chosen["model"]
        return made

    columns = {"label_columns": [models.LABELS], "feature_columns": [models.FEATURES]}
    if not works:
        return AskedSearch(backend, store, estimator, works, **columns)
    space = {"model": hp_choice(list(works))}
    return GridSearch(backend, store, estimator, space, job["epochs"], **columns, verbose=0)


def main() -> None:
    """The process: its parent's death is its own.

    However the job ends, so does the process: a job of the package's that failed leaves a thread
    that waits for Spark forever. Spark's own process ends with this one.
    """
    die_with_parent(signal.SIGKILL)
    job = json.loads(sys.stdin.readline())
    os.chdir(job["folder"])
    say = Messages()
    try:
        run(job, say)
    except BaseException:  # noqa: BLE001 - told in full, and the process ends
        traceback.print_exc()
        sys.stderr.flush()
        say("failed", error=traceback.format_exc())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
