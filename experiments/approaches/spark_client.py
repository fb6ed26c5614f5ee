"""The driver's side of Spark: its context, and the long-running tasks that it keeps there.

Each task is a job of its own with one partition, so a task that dies takes no other along, and is
submitted again by itself. ``pyspark`` is imported by the functions that use it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from experiments import java
from experiments.approaches import spark_settings
from experiments.approaches.parquet_shard import ParquetShard
from experiments.approaches.recovery import RETURN_SECONDS
from experiments.approaches.spark_channel import Place
from experiments.approaches.spark_settings import HEAP_MEGABYTES, JVM_OPTIONS
from experiments.errors import EnvironmentFault, ServerDied
from experiments.paths import CHECKOUT
from experiments.specs.topology import (
    CACHE_BYTES_VARIABLE,
    SPARK_MASTER,
    THREAD_VARIABLES,
    Topology,
)

PYTHON_MEGABYTES = 1536
"""Memory beside the heap for the Python process of an executor, where Spark bounds it."""

STOP_SECONDS = 2.0
AGAIN_SECONDS = 0.2
_LOOK_SECONDS = 0.1

T = TypeVar("T")

_log = logging.getLogger("experiments.spark")


class Spark:
    """A Spark application that can be replaced by a new one when it was lost.

    Parameters
    ----------
    name : of the application, for people.
    master : address of a cluster that exists; by default the topology's own.
    settings : of the application, beside ours or instead of them.
    """

    def __init__(
        self,
        topology: Topology,
        name: str,
        master: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._topology = topology
        self._name = name
        self._own = not master
        self._more = settings or {}
        self._master = master or topology.spark_master
        self._home = topology.nodes[0].data / "spark-driver"
        self._lock = threading.Lock()
        self._context: Any = None
        self._gateway: Any = None
        self._stopped = False

    @property
    def host(self) -> str:
        """The address of the driver, as executors reach it."""
        return str(self.context().getConf().get("spark.driver.host"))

    def context(self) -> Any:
        """The living ``SparkContext``; a new one if the last was lost.

        Raises
        ------
        ServerDied
            The cluster of our own does not answer.
        EnvironmentFault
            There is no Java or no Spark, or a cluster that exists does not take us.
        """
        with self._lock:
            if self._stopped:
                raise ServerDied("the application was stopped")
            if self._context is None or not self._lives():
                self._forget()
                if self._own:
                    self._await_master()
                self._context = self._make()
            return self._context

    def on_all(self, step: Callable[[], T]) -> list[T]:
        """Run a step in every executor's Python process at the same time; what each returns.

        Raises
        ------
        ServerDied
            There are too few executors, or one was lost.
        """
        workers, context = self._topology.workers, self.context()
        try:
            # A stage with a barrier starts on all executors at once, or not yet.
            found: list[T] = (
                context.parallelize(range(workers), workers)
                .barrier()
                .mapPartitions(lambda _: [step()])
                .collect()
            )
        except Exception as error:
            raise ServerDied(_first_line(error)) from error
        return found

    def stop(self) -> None:
        """Stop the application and its JVM, within some seconds. Safe to call again."""
        with self._lock:
            self._stopped = True
            self._forget()

    def _lives(self) -> bool:
        if self._gateway.proc.poll() is not None:
            return False
        with contextlib.suppress(Exception):
            return not self._context._jsc.sc().isStopped()
        return False

    def _forget(self) -> None:
        """Stop the application, kindly first, and have ``pyspark`` forget it."""
        if self._gateway is None:
            return
        context, gateway = self._context, self._gateway
        self._context = self._gateway = None
        if context is not None:
            stopping = threading.Thread(target=partial(_stop, context), daemon=True)
            stopping.start()
            stopping.join(STOP_SECONDS)
        gateway.proc.kill()
        gateway.proc.wait()
        gateway.proc.stdin.close()
        with contextlib.suppress(Exception):
            gateway.shutdown()
        from pyspark import SparkContext

        SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None

    def _make(self) -> Any:
        self._prepare_environment()
        from pyspark import SparkConf, SparkContext
        from pyspark.java_gateway import launch_gateway

        conf = SparkConf(loadDefaults=False).setAll(list(self._settings().items()))
        try:
            self._gateway = launch_gateway(conf)
            with _own_interrupt():
                return SparkContext(conf=conf, gateway=self._gateway)
        except Exception as error:
            self._forget()
            text = f"{self._master} does not take the application ({_first_line(error)})"
            if self._own:
                raise ServerDied(text) from error
            raise EnvironmentFault(
                f"{text}; see the driver's log, or leave out --spark-master"
            ) from error

    def _prepare_environment(self) -> None:
        """What Spark's own start script reads; a cluster that exists has the user's settings."""
        if self._own:
            shared = spark_settings.shared(self._topology)
            spark_settings.write(self._home, shared, level="warn")
            address = self._topology.nodes[0].address
            environment = spark_settings.environment(self._topology, self._home, address)
            for name in [each for each in os.environ if each not in environment]:
                del os.environ[name]
            os.environ.update(environment)
        else:
            spark_settings.make(self._home)
            os.environ["JAVA_HOME"] = str(java.home())
            os.environ["SPARK_HOME"] = str(spark_settings.spark_home(self._topology))
            for name in ("SPARK_LOCAL_DIRS", "TMPDIR"):
                os.environ[name] = str(spark_settings.scratch(self._home))
        os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable

    def _settings(self) -> dict[str, str]:
        """The application's; none of them is a secret, they show on a command line."""
        workers, address = self._topology.workers, self._topology.nodes[0].address
        passed = {
            "PYTHONPATH": str(CHECKOUT),
            CACHE_BYTES_VARIABLE: str(self._topology.cache_bytes),
            **dict.fromkeys(THREAD_VARIABLES, str(self._topology.threads)),
        }
        settings = {
            "spark.master": self._master,
            "spark.app.name": self._name,
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.memory": f"{HEAP_MEGABYTES}m",
            "spark.driver.extraJavaOptions": spark_settings.jvm_options(self._home),
            "spark.executor.memory": f"{HEAP_MEGABYTES}m",
            "spark.executor.memoryOverhead": f"{PYTHON_MEGABYTES}m",
            "spark.executor.extraJavaOptions": JVM_OPTIONS,
            "spark.executor.instances": str(workers),
            "spark.executor.cores": "1",
            "spark.cores.max": str(workers),
            "spark.dynamicAllocation.enabled": "false",
            "spark.speculation": "false",
            # A task is lost with its process, and we submit the next.
            "spark.task.maxFailures": "1",
            "spark.python.worker.reuse": "false",
            **{f"spark.executorEnv.{name}": value for name, value in passed.items()},
        }
        if self._own:
            settings["spark.driver.host"] = settings["spark.driver.bindAddress"] = address
            # An executor works in a folder of its own.
            settings["spark.executor.extraJavaOptions"] += " -Djava.io.tmpdir=."
        return {**settings, **self._more}

    def _await_master(self) -> None:
        """Spark itself would look again after 20 s only."""
        endpoint = self._topology.nodes[0].endpoint(SPARK_MASTER)
        deadline = time.monotonic() + RETURN_SECONDS
        while not self._stopped:
            try:
                socket.create_connection(endpoint, timeout=1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise ServerDied(f"the {SPARK_MASTER} does not answer") from None
                time.sleep(_LOOK_SECONDS)
            else:
                return


class TaskKeeper:
    """Keeps one long-running task for each partition in a Spark application.

    Parameters
    ----------
    place : where the tasks report.
    shards : each task's rows.
    """

    def __init__(self, spark: Spark, place: Place, shards: Sequence[ParquetShard]) -> None:
        self._spark = spark
        self._place = place
        self._shards = shards
        self._stopped = threading.Event()
        self.reason = ""
        """Why the last task ended that did."""
        self._threads = [
            threading.Thread(target=self._keep, args=(task,), name=f"task-{task}", daemon=True)
            for task in range(len(shards))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Submit no task again."""
        self._stopped.set()

    def _keep(self, task: int) -> None:
        from experiments.approaches.spark_task import serve

        while not self._stopped.is_set():
            try:
                rows = self._spark.context().parallelize([task], 1)
                rows.foreach(partial(serve, self._place, self._shards))
            except Exception as error:  # noqa: BLE001 - it is lost, whatever the reason
                if not self._stopped.is_set():
                    self.reason = _first_line(error)
                    _log.warning("the task of partition %d is lost: %s", task, self.reason)
            self._stopped.wait(AGAIN_SECONDS)


@contextlib.contextmanager
def _own_interrupt() -> Iterator[None]:
    """Keep the handler of Ctrl-C, which a context made in the main thread replaces."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


def _stop(context: Any) -> None:
    with contextlib.suppress(Exception):
        context.stop()


def _first_line(error: Exception) -> str:
    """What a failure of Spark's says, less the JVM's stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (causes or lines or [type(error).__name__])[0]
