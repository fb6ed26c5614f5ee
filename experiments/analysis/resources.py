"""What a run took of its machines: the resource columns of Tables 6 and 7, from its samples.

As in the paper, execution is without the ETL; the ETL stands apart. What the run's own processes
took is told apart from what the machine did (``machine_*``), so that a neighbour shows
(``others_cpu_pct``). Nothing is imputed: a value that is not there says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from experiments.analysis import samples
from experiments.analysis.resource_measures import DATABASE, QUANTITIES, Seen, Value
from experiments.analysis.runs import Run
from experiments.paths import RunFolder
from experiments.specs.topology import Topology

ETL = "etl_"
"""Before the names of what the ETL took."""

_MEANS = frozenset(
    ("gpu_util_pct", "gpu_ram_pct", "gpu_memory_pct", "dram_pct", "machine_dram_pct")
)
"""What is a mean over samples, and no counter's growth."""
_EMULATED = "workers wait for an emulated device"


def resources(run: Run) -> Mapping[str, Value]:
    """Every quantity by its name; those of the ETL have :data:`ETL` before it.

    ``cpu_pct``, ``machine_cpu_pct``, ``others_cpu_pct`` of the machines' cores, means;
    ``cpu_s`` processor seconds of the run; ``sampler_core_pct`` of one core;
    ``dram_pct``, ``machine_dram_pct`` of their memory, means; ``gpu_util_pct``, ``gpu_ram_pct``
    (how busy its controller was: the paper's "GPU RAM util."), ``gpu_memory_pct`` (what it held),
    ``gpu_energy_j``; ``network_bytes`` in total; ``disk_read_bytes`` and ``disk_write_bytes`` per
    worker, with ``machine_disk_*`` of whole devices and ``machine_network_bytes`` likewise;
    ``database_*``: what PostgreSQL's servers say that they took from files, found in their cache,
    and wrote to temporary files and to their log.
    """
    nodes = samples.load(run)
    file = RunFolder(run.folder).topology
    topology = Topology.read(file) if file.exists() else None
    found: dict[str, Value] = {}
    parts = (("", samples.execution(run), "train"), (ETL, samples.etl(run), "etl"))
    for prefix, windows, stage in parts:
        reason = _EMULATED if nodes and run.spec.emulation is not None else ""
        unseen = reason or samples.missing(run, nodes, windows)
        sparse = unseen or samples.sparse(nodes, windows)
        seen = Seen(run, nodes, windows, topology, stage)
        for name, (unit, measure) in QUANTITIES.items():
            why = sparse if name in _MEANS else unseen
            if name.startswith(DATABASE):
                why = reason
            found[prefix + name] = Value(None, unit, reason=why) if why else measure(seen, unit)
    return found


def table(run: Run) -> pd.DataFrame:
    """:func:`resources`, tidy.

    Returns
    -------
    DataFrame
        ``run, approach, workers, seed``, ``part`` (``execution`` or ``etl``), ``quantity``,
        ``value`` (NaN where there is none), ``unit``, ``state``, ``label``.
    """
    rows = []
    for name, value in resources(run).items():
        part = "etl" if name.startswith(ETL) else "execution"
        rows.append(
            {
                "run": run.name,
                "approach": run.spec.approach,
                "workers": run.spec.workers,
                "seed": run.spec.seed,
                "part": part,
                "quantity": name.removeprefix(ETL),
                "value": math.nan if value.number is None else value.number,
                "unit": value.unit,
                "state": value.state,
                "label": value.label,
            }
        )
    return pd.DataFrame(rows)
