"""Made-up samples for made-up runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from experiments.analysis.runs import Run, load
from experiments.paths import RunFolder
from experiments.specs.topology import LOOPBACK, Node, Topology, roles_of_node
from experiments.telemetry import store
from experiments.telemetry.readings import Header, Sample

GIB = 2**30
SECOND = 1_000_000_000
HEADER = Header(
    node=0,
    run="run",
    boot="here",
    network="net:1",
    processes="pid:1",
    cores=4,
    period=1.0,
    wall=0.0,
    mono_ns=0,
    interfaces={"lo": "loopback", "eth0": "cluster", "eth1": "control"},
    states={"gpu": "no NVIDIA driver"},
)


def at_second(node: int, second: float) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
    """One core of four busy with the run, one with a neighbour; 10 MB/s sent, 1 MB/s written."""
    micro, mega = round(second * 1e6), round(second * 1e6)
    return {
        "host": {
            "": {
                "user_us": 1_000_000_000 + 2 * micro,
                "system_us": 0,
                "idle_us": 2 * micro,
                "waiting_us": 0,
                "memory_bytes": 16 * GIB,
                "available_bytes": 12 * GIB,
            }
        },
        "group": {
            f"worker-{node}": {
                "cpu_us": 500_000_000 + micro,
                "read_bytes": 3 * mega,
                "write_bytes": 2 * mega,
                "cancelled_bytes": mega,
                "private_bytes": GIB,
                "shared_bytes": GIB,
            },
            f"sampler-{node}": {"cpu_us": micro // 500, "private_bytes": GIB},
        },
        "disk": {"vda": {"read_bytes": 5 * mega, "write_bytes": 7 * mega}},
        "network": {
            "lo": {"received_bytes": 99 * mega, "sent_bytes": 99 * mega},
            "eth0": {"received_bytes": 10 * mega, "sent_bytes": 4 * mega},
            "eth1": {"received_bytes": mega, "sent_bytes": mega},
        },
        "sampler": {"": {"cpu_us": micro // 500}},
    }


def timed(folder: Path, *, every: float = 1.0) -> Run:
    """A written run whose journal's events come so many seconds after one another, from 0."""
    names = RunFolder(folder)
    lines = [json.loads(line) for line in names.journal.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["mono_ns"] = round(number * every * SECOND)
        line["wall"] = number * every
    names.journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return load(folder)


def sampled(
    folder: Path,
    *,
    until: int,
    nodes: int = 1,
    address: str = "10.0.0.{}",
    gpus: Mapping[str, Mapping[str, int]] | None = None,
    apart: float = 0.0,
    period: float = 1.0,
    gap: tuple[float, float] = (0.0, 0.0),
) -> None:
    """Samples of every second, of nodes that are machines of their own, and their topology.

    Parameters
    ----------
    gpus : GPUs of every node and their readings; energy grows by its reading every second.
    apart : how far the monotonic clock of node 1 is ahead.
    gap : seconds between which there are none.
    """
    live = folder / "live"
    made = []
    for number in range(nodes):
        shift = round(number * apart * SECOND)
        states = {} if gpus else HEADER.states
        header = replace(HEADER, node=number, boot=f"boot-{number}", network=f"net:{number}")
        if address == LOOPBACK:
            header = replace(header, interfaces={"lo": "cluster", "eth0": "control"})
        file = store.LiveFile(live / store.LIVE.format(number))
        file.header(replace(header, mono_ns=shift, states=states, period=period))
        for step in range(round(until / period) + 1):
            second = step * period
            if gap[0] < second < gap[1]:
                continue
            readings = {**at_second(number, second)}
            if gpus:
                readings["gpu"] = {
                    uuid: {
                        **counters,
                        **(
                            {"energy_mj": round(counters["energy_mj"] * second)}
                            if "energy_mj" in counters
                            else {}
                        ),
                    }
                    for uuid, counters in gpus.items()
                }
            file.sample(Sample(shift + round(second * SECOND), second, readings))
        file.close()
        ports = {role: 5000 + at for at, role in enumerate(roles_of_node(number))}
        place = address.format(number)
        if number:
            ports = {role: port + 100 * number for role, port in ports.items()}
        made.append(Node(number, place, Path(f"/data/{number}"), ports, tuple(gpus or ())))
    Topology("run", Path("/secrets"), 1, tuple(made)).write(RunFolder(folder).topology)
    assert store.keep_all(live, RunFolder(folder).telemetry) == []
