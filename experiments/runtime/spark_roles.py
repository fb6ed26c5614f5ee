"""The roles ``spark-master`` and ``spark-worker``: a standalone Spark cluster.

A role's process becomes Spark's own program, so that signals, and the end of whoever started it,
reach that. A worker offers one core and runs one executor at a time.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from experiments.approaches import spark_settings
from experiments.approaches.spark_settings import DAEMON_MEGABYTES, JVM_OPTIONS
from experiments.errors import ServerDied
from experiments.specs.topology import SPARK_MASTER, SPARK_WORKER, Node, Topology

MASTER_READY = "I have been elected leader! New state: "
WORKER_READY = "Successfully registered with master"
"""What Spark logs once a role serves."""

OFFERED_MEGABYTES = 1024
"""Heap that an application may ask of a worker's executor."""

MASTER_SECONDS = 30.0
_LOOK_SECONDS = 0.05


def run_master(topology: Topology, node: Node) -> NoReturn:
    """Become the cluster's master, which remembers workers and applications over its own death."""
    address, port = node.endpoint(SPARK_MASTER)
    folder = node.data / SPARK_MASTER
    recovery = folder / "recovery"
    recovery.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = {
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": str(recovery),
        # Whoever runs the topology and the driver bound repetitions, each in its own way.
        "spark.deploy.maxExecutorRetries": "-1",
        "spark.master.rest.enabled": "false",
    }
    arguments = ["--host", address, "--port", str(port), "--webui-port", "0"]
    _become("master.Master", topology, folder, address, settings, arguments)


def run_worker(topology: Topology, node: Node) -> NoReturn:
    """Become the worker of one node.

    Raises
    ------
    ServerDied
        The master did not answer within :data:`MASTER_SECONDS`.
    """
    # A worker that finds no master tries again after some ten seconds only.
    _await_master(topology)
    address, port = node.endpoint(SPARK_WORKER)
    folder = node.data / SPARK_WORKER
    (folder / "work").mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = {"spark.worker.ui.retainedExecutors": "10"}
    arguments = ["--host", address, "--port", str(port), "--webui-port", "0", "--cores", "1"]
    arguments += ["--memory", f"{OFFERED_MEGABYTES}M", "--work-dir", str(folder / "work")]
    arguments += [topology.spark_master]
    _become("worker.Worker", topology, folder, address, settings, arguments)


def _become(
    program: str,
    topology: Topology,
    folder: Path,
    address: str,
    settings: Mapping[str, str],
    arguments: list[str],
) -> NoReturn:
    conf = folder / "conf"
    # Else a port that is taken would be answered with the next one.
    own = {"spark.port.maxRetries": "0"}
    spark_settings.write(conf, {**spark_settings.shared(topology), **settings, **own})
    scratch = folder / "scratch"
    scratch.mkdir(mode=0o700, exist_ok=True)
    environment = {
        **spark_settings.environment(topology, conf, address),
        "SPARK_DAEMON_MEMORY": f"{DAEMON_MEGABYTES}m",
        "SPARK_DAEMON_JAVA_OPTS": JVM_OPTIONS,
        "SPARK_LOCAL_DIRS": str(scratch),
    }
    command = f"{environment['SPARK_HOME']}/bin/spark-class"
    os.execve(command, [command, f"org.apache.spark.deploy.{program}", *arguments], environment)


def _await_master(topology: Topology) -> None:
    endpoint = topology.nodes[0].endpoint(SPARK_MASTER)
    deadline = time.monotonic() + MASTER_SECONDS
    while True:
        try:
            socket.create_connection(endpoint, timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise ServerDied(
                    f"the {SPARK_MASTER} did not answer within {MASTER_SECONDS:g} s"
                ) from None
            time.sleep(_LOOK_SECONDS)
        else:
            return
