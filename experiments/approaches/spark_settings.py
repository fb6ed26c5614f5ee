"""What the processes of one Spark cluster must agree on, and how they are told.

Spark's own command line would show a secret to everybody on the machine, so settings go into a
folder that only this user can read, ``$SPARK_CONF_DIR`` of the process.
"""

from __future__ import annotations

import base64
import importlib.util
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from experiments import java
from experiments.errors import EnvironmentFault
from experiments.files import write_atomically
from experiments.specs.secrets import Secrets
from experiments.specs.topology import Topology

HEAP_MEGABYTES = 512
"""Heap of an executor: rows and models are in its Python process, not in the JVM."""

DAEMON_MEGABYTES = 256
"""Heap of a master or a worker."""

JVM_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""JVMs that only pass messages on: start fast, and leave the cores to training."""

FOREIGN = ("SPARK_", "PYSPARK_", "HADOOP_", "YARN_")
"""Variables that would change a cluster of our own."""

LOGGING = """\
rootLogger.level = {level}
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss,SSS}} %p %c{{1}}: %m%n%ex
logger.jetty.name = org.sparkproject.jetty
logger.jetty.level = warn
logger.pages.name = org.apache.spark.ui
logger.pages.level = warn
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
"""


def spark_home(topology: Topology) -> Path:
    """The folder of the Spark that a cluster runs (``SPARK_HOME``).

    Raises
    ------
    EnvironmentFault
        There is none.
    """
    home = topology.spark_home
    if home is None:
        found = importlib.util.find_spec("pyspark")
        if found is None or found.origin is None:
            raise EnvironmentFault("the package pyspark is missing: see --doctor")
        home = Path(found.origin).parent
    if not (home / "bin" / "spark-class").exists():
        raise EnvironmentFault(f"{home} holds no Spark: bin/spark-class is missing")
    return home


def shared(topology: Topology) -> dict[str, str]:
    """Settings of every process of the cluster: who does not know the secret is hung up on."""
    settings = {
        "spark.authenticate": "true",
        "spark.authenticate.secret": Secrets(topology.secrets).spark(),
        "spark.network.crypto.enabled": "true",
        "spark.network.crypto.saslFallback": "false",
        "spark.ui.enabled": "false",
        # A master and a worker serve status pages whatever one says; these let nobody in.
        "spark.ui.killEnabled": "false",
    }
    if any((spark_home(topology) / "jars").glob("jjwt-api-*.jar")):  # since Spark 4
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        settings["spark.ui.filters"] = "org.apache.spark.ui.JWSFilter"
        settings["spark.org.apache.spark.ui.JWSFilter.param.secretKey"] = key
    return settings


def write(folder: Path, settings: Mapping[str, str], level: str = "info") -> None:
    """Write settings to a folder that only this user can read.

    Parameters
    ----------
    level : of the log, which goes to stderr.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    lines = "".join(f"{name} {value}\n" for name, value in settings.items())
    write_atomically(folder / "spark-defaults.conf", lines, mode=0o600)
    write_atomically(folder / "log4j2.properties", LOGGING.format(level=level), mode=0o600)


def environment(topology: Topology, folder: Path, address: str) -> dict[str, str]:
    """Variables of a process of a cluster of our own: this process's, less what would change it.

    Parameters
    ----------
    folder : with the settings, see :func:`write`.
    address : what the process listens on, and nothing else.

    Raises
    ------
    EnvironmentFault
        There is no Java or no Spark.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {
        **kept,
        "JAVA_HOME": str(java.home()),
        "SPARK_HOME": str(spark_home(topology)),
        "SPARK_CONF_DIR": str(folder),
        "SPARK_LOCAL_IP": address,
        "SPARK_LOCAL_HOSTNAME": address,
        "SPARK_LAUNCHER_OPTS": JVM_OPTIONS,
    }
