"""How each quantity of a run's resources is worked out from the samples of its nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from experiments.analysis import samples, tidy
from experiments.analysis.runs import Run
from experiments.analysis.samples import NOT_RECORDED, NodeSamples, Window
from experiments.specs.topology import Topology
from experiments.telemetry import readings
from experiments.telemetry.network import CLUSTER

MEASURED = "measured"
NOT_MEASURABLE = "not measurable here"
DATABASE = "database_"
"""Before the names of what servers counted of themselves, which needs no samples."""

_LOOPBACK = "lo"
_REDUCING = "sent_bytes"
"""What data-parallel ranks count of the gradients that they send."""
_MOVING = "model_transmission"
"""On a cluster it is models that cross the network; rows are read where they lie."""


@dataclass(frozen=True)
class Value:
    """One quantity of a run.

    Attributes
    ----------
    number : in ``unit``; None where there is none.
    label : what it was read from.
    reason : why there is no number.
    """

    number: float | None
    unit: str
    label: str = ""
    reason: str = ""

    @property
    def state(self) -> str:
        """``measured``, ``not recorded``, or ``not measurable here`` with the reason."""
        if self.number is not None:
            return MEASURED
        if self.reason == NOT_RECORDED:
            return NOT_RECORDED
        return f"{NOT_MEASURABLE}: {self.reason}"


@dataclass(frozen=True)
class Seen:
    """The samples of a run within some windows."""

    run: Run
    nodes: Sequence[NodeSamples]
    windows: Sequence[Window]
    topology: Topology | None
    stage: str

    @property
    def machines(self) -> list[NodeSamples]:
        return samples.one_each(self.nodes)

    @property
    def cores(self) -> int:
        return sum(node.header.cores for node in self.machines)

    @property
    def local(self) -> bool:
        """Whether nodes are processes of one machine: their cluster is its loopback interface."""
        return any(node.header.interfaces.get(_LOOPBACK) == CLUSTER for node in self.nodes)

    def grown(self, node: NodeSamples, source: str, name: str, counter: str) -> float:
        return node.increase(source, name, counter, self.windows)

    def mean(self, node: NodeSamples, source: str, name: str, counter: str) -> float | None:
        values = node.values(source, name, counter, self.windows)
        return None if values is None or values.empty else float(values.mean())

    def gpus(self) -> dict[str, NodeSamples]:
        """The run's GPUs; where the topology is not known, all."""
        found = {uuid: node for node in self.nodes for uuid in node.names(readings.GPU)}
        if self.topology is None:
            return found
        own = {uuid for node in self.topology.nodes for uuid in node.gpus}
        return {uuid: node for uuid, node in found.items() if uuid in own}

    def why(self, *keys: str) -> str:
        """The first reason that a sampler gave for one of these."""
        for node in self.nodes:
            for key in keys:
                if reason := node.header.states.get(key):
                    return reason
        return ""


def _cpu(seen: Seen, unit: str) -> Value:
    return Value(
        100 * sum(_busy(seen, node) for node in seen.nodes) / seen.cores,
        unit,
        "the run's processes",
    )


def _busy(seen: Seen, node: NodeSamples) -> float:
    """Cores that a node's roles kept busy, mean."""
    taken = sum(seen.grown(node, readings.GROUP, role, "cpu_us") for role in samples.roles(node))
    return taken / 1e6 / node.seconds(seen.windows)


def _cpu_seconds(seen: Seen, unit: str) -> Value:
    taken = sum(
        seen.grown(node, readings.GROUP, role, "cpu_us")
        for node in seen.nodes
        for role in samples.roles(node)
    )
    return Value(taken / 1e6, unit, "the run's processes")


def _machine_cpu(seen: Seen, unit: str) -> Value:
    busy = sum(
        _host(seen, node, "user_us", "system_us") / 1e6 / node.seconds(seen.windows)
        for node in seen.machines
    )
    return Value(100 * busy / seen.cores, unit, "/proc/stat")


def _host(seen: Seen, node: NodeSamples, *counters: str) -> float:
    return sum(seen.grown(node, readings.HOST, "", counter) for counter in counters)


def _others_cpu(seen: Seen, unit: str) -> Value:
    whole, own = _machine_cpu(seen, unit).number, _cpu(seen, unit).number
    sampled = _sampler(seen, unit).number
    assert whole is not None
    assert own is not None
    assert sampled is not None
    rest = whole - own - sampled * len(seen.nodes) / seen.cores
    return Value(max(0.0, rest), unit, "/proc/stat less the run's processes")


def _sampler(seen: Seen, unit: str) -> Value:
    shares = [
        seen.grown(node, readings.SAMPLER, "", "cpu_us") / 1e4 / node.seconds(seen.windows)
        for node in seen.nodes
    ]
    return Value(sum(shares) / len(shares), unit, "the sampler's own clock, mean over samplers")


def _memory(seen: Seen) -> float:
    return sum(seen.mean(node, readings.HOST, "", "memory_bytes") or 0 for node in seen.machines)


def _dram(seen: Seen, unit: str) -> Value:
    used = sum(
        seen.mean(node, readings.GROUP, role, counter) or 0
        for node in seen.nodes
        for role in samples.roles(node)
        for counter in ("private_bytes", "shared_bytes")
    )
    label = "the run's processes: what each has to itself, and the most that one of a role shares"
    return Value(100 * used / _memory(seen), unit, label)


def _machine_dram(seen: Seen, unit: str) -> Value:
    free = sum(seen.mean(node, readings.HOST, "", "available_bytes") or 0 for node in seen.machines)
    return Value(100 * (1 - free / _memory(seen)), unit, "/proc/meminfo, page cache apart")


def _of_gpus(counter: str, what: str) -> Callable[[Seen, str], Value]:
    def measure(seen: Seen, unit: str) -> Value:
        gpus = seen.gpus()
        found = [seen.mean(node, readings.GPU, uuid, counter) for uuid, node in gpus.items()]
        if not gpus or None in found:
            return Value(None, unit, reason=_no_gpu(seen, gpus, "utilisation"))
        numbers = [number for number in found if number is not None]
        return Value(sum(numbers) / len(numbers), unit, f"NVML: {what}, mean over GPUs")

    return measure


def _no_gpu(seen: Seen, gpus: Mapping[str, NodeSamples], what: str) -> str:
    if not gpus:
        return seen.why(readings.GPU) or "the run was given no GPU"
    told = seen.why(*(f"{readings.GPU}/{uuid}/{what}" for uuid in gpus))
    return f"a GPU does not tell its {what} ({told or 'no sample'})"


def _gpu_memory(seen: Seen, unit: str) -> Value:
    gpus = seen.gpus()
    shares = []
    for uuid, node in gpus.items():
        used, whole = (
            seen.mean(node, readings.GPU, uuid, counter)
            for counter in ("used_bytes", "memory_bytes")
        )
        if used is not None and whole:
            shares.append(100 * used / whole)
    if not gpus or len(shares) < len(gpus):
        return Value(None, unit, reason=_no_gpu(seen, gpus, "memory"))
    return Value(sum(shares) / len(shares), unit, "NVML: memory held, mean over GPUs")


def _energy(seen: Seen, unit: str) -> Value:
    gpus = seen.gpus()
    if not gpus or any(
        node.series(readings.GPU, uuid, "energy_mj") is None for uuid, node in gpus.items()
    ):
        return Value(None, unit, reason=_no_gpu(seen, gpus, "energy"))
    total = sum(seen.grown(node, readings.GPU, uuid, "energy_mj") for uuid, node in gpus.items())
    return Value(total / 1e3, unit, "NVML: energy of the GPUs")


def _network(seen: Seen, unit: str) -> Value:
    if seen.local:
        return _journaled(seen, unit)
    return Value(_received(seen, CLUSTER), unit, "received on the cluster's interfaces")


def _journaled(seen: Seen, unit: str) -> Value:
    """All roles share one loopback interface with the machine: what components count is used."""
    if seen.stage == "etl":
        return Value(None, unit, reason="processes of one machine: no interface is theirs alone")
    spans, counters = tidy.spans(seen.run), tidy.counters(seen.run)
    moved = int(spans.loc[(spans["phase"] == _MOVING) & spans["epoch"].notna(), "bytes"].sum())
    moved += int(counters.loc[counters["counter"] == _REDUCING, "value"].sum())
    if not moved:
        reason = "processes of one machine, and the approach's components count no bytes of models"
        return Value(None, unit, reason=reason)
    label = "models' and gradients' bytes, counted by the components: roles of one machine share lo"
    return Value(float(moved), unit, label)


def _received(seen: Seen, *kinds: str) -> float:
    return sum(
        seen.grown(node, readings.NETWORK, name, "received_bytes")
        for node in samples.one_each(seen.nodes, "network")
        for name, kind in node.header.interfaces.items()
        if kind in kinds
    )


def _machine_network(seen: Seen, unit: str) -> Value:
    label = "received on the loopback interface, others' included" if seen.local else "received"
    return Value(_received(seen, CLUSTER), unit, label)


def _disk(counter: str, less: str = "") -> Callable[[Seen, str], Value]:
    def measure(seen: Seen, unit: str) -> Value:
        keys = [
            f"{readings.GROUP}/{role}/disk" for node in seen.nodes for role in samples.roles(node)
        ]
        if reason := seen.why(*keys):
            return Value(None, unit, reason=reason)
        moved = sum(
            seen.grown(node, readings.GROUP, role, counter)
            - (seen.grown(node, readings.GROUP, role, less) if less else 0)
            for node in seen.nodes
            for role in samples.roles(node)
        )
        return Value(
            max(0.0, moved) / seen.run.spec.workers, unit, "the run's processes (/proc/PID/io)"
        )

    return measure


def _devices(counter: str) -> Callable[[Seen, str], Value]:
    def measure(seen: Seen, unit: str) -> Value:
        names = [(node, disk) for node in seen.machines for disk in node.names(readings.DISK)]
        if not names:
            return Value(None, unit, reason=seen.why(readings.DISK) or "no block device is shown")
        moved = sum(seen.grown(node, readings.DISK, disk, counter) for node, disk in names)
        return Value(moved / seen.run.spec.workers, unit, "whole devices (/proc/diskstats)")

    return measure


def _database(*counters: str) -> Callable[[Seen, str], Value]:
    """The product of counters of the database's own, summed over its servers, in one stage."""

    def measure(seen: Seen, unit: str) -> Value:
        told = {
            event.detail["after"]: event.detail
            for event in seen.run.events
            if event.kind == "server_counters"
        }
        wanted = ["etl"] if seen.stage == "etl" else ["etl", "train"]
        if not told:
            return Value(None, unit, reason="no database of the run told its counters")
        if sum(event.kind == "run_started" for event in seen.run.events) > 1:
            return Value(None, unit, reason="the run was interrupted")
        for stage in wanted:
            if "servers" not in told.get(stage, {}):
                reason = told.get(stage, {}).get("reason", "its servers were not asked")
                return Value(None, unit, reason=reason)
        totals = [
            sum(math.prod(server[each] for each in counters) for server in servers.values())
            for servers in (told[stage]["servers"] for stage in wanted)
        ]
        moved = totals[-1] - (totals[0] if len(totals) > 1 else 0)
        return Value(float(moved), unit, "PostgreSQL's own counters, all servers")

    return measure


QUANTITIES: Mapping[str, tuple[str, Callable[[Seen, str], Value]]] = {
    "gpu_util_pct": ("%", _of_gpus("busy_pct", "share of time in which it computed")),
    "gpu_ram_pct": ("%", _of_gpus("controller_pct", "share of time its memory was busy")),
    "gpu_memory_pct": ("%", _gpu_memory),
    "gpu_energy_j": ("J", _energy),
    "cpu_pct": ("%", _cpu),
    "cpu_s": ("s", _cpu_seconds),
    "machine_cpu_pct": ("%", _machine_cpu),
    "others_cpu_pct": ("%", _others_cpu),
    "sampler_core_pct": ("%", _sampler),
    "dram_pct": ("%", _dram),
    "machine_dram_pct": ("%", _machine_dram),
    "network_bytes": ("B", _network),
    "machine_network_bytes": ("B", _machine_network),
    "disk_read_bytes": ("B/worker", _disk("read_bytes")),
    "disk_write_bytes": ("B/worker", _disk("write_bytes", "cancelled_bytes")),
    "machine_disk_read_bytes": ("B/worker", _devices("read_bytes")),
    "machine_disk_write_bytes": ("B/worker", _devices("write_bytes")),
    "database_read_bytes": ("B", _database("blks_read", "block_bytes")),
    "database_hit_bytes": ("B", _database("blks_hit", "block_bytes")),
    "database_temporary_bytes": ("B", _database("temp_bytes")),
    "database_log_bytes": ("B", _database("wal_bytes")),
}
"""Unit, and how it is worked out, of every quantity."""
