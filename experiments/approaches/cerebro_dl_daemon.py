"""The process that Spark's Python workers of cerebro-dl are forked from.

``python -m experiments.approaches.cerebro_dl_daemon``, started by Spark. Every worker needs
TensorFlow and the package, and Spark ends a worker whose output it did not read to the end.
Imported here, they cost seconds once and not per worker; what is patched here is so in all of them.
"""

from __future__ import annotations

from experiments.approaches import cerebro_dl_compat as compat

if __name__ == "__main__":
    from pyspark.daemon import manager

    compat.apply_in_workers()
    manager()
