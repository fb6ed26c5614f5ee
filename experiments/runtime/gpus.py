"""Which GPU each node trains on, and what a role's process has to know of it.

Nodes of one machine get one GPU each while they last, and share them then, as MADlib's segments do:
90 % of a GPU's memory, evenly among those who train on it. A node without a GPU trains on its CPU.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from experiments import nvidia
from experiments.errors import EnvironmentFault
from experiments.models.frameworks import CPU, FRACTION_VARIABLE
from experiments.nvidia import VISIBLE_VARIABLE, Found, Gpu
from experiments.specs.topology import ALL_SEGMENTS, GPU_SEGMENTS, Node, Topology

SHARED_MEMORY = 0.9
"""Of a GPU that several nodes train on; the rest is for what the driver keeps for each process."""

NO_GPU: Mapping[str, str] = {VISIBLE_VARIABLE: "", FRACTION_VARIABLE: "1"}
"""Variables of a process that shall not compute on any GPU."""


def command(arguments: Sequence[str]) -> int:
    """``gpus``: print what :func:`experiments.nvidia.find` finds here, as JSON; the exit code."""
    if arguments:
        print("error: usage: python -m experiments gpus", file=sys.stderr)
        return 2
    print(json.dumps(asdict(nvidia.find()), indent=1))
    return 0


def assign(gpus: Sequence[Gpu], nodes: int) -> list[tuple[str, ...]]:
    """The :attr:`~experiments.specs.topology.Node.gpus` of each of so many nodes of one machine."""
    return [(gpus[node % len(gpus)].uuid,) if gpus else () for node in range(nodes)]


def fraction(sharing: int) -> float:
    """Share of a GPU's memory for each of so many nodes that train on it; 1 is all it needs."""
    return 1.0 if sharing == 1 else SHARED_MEMORY / sharing


def gpu_environment(topology: Topology, node: Node) -> dict[str, str]:
    """Variables of a role that trains on a node: the GPU that it sees, and its share of it."""
    if node.gpu is None:
        return dict(NO_GPU)
    share = fraction(topology.sharing(node))
    return {VISIBLE_VARIABLE: node.gpu, FRACTION_VARIABLE: f"{share:.4g}"}


def usable_nodes(nodes: Sequence[Node], which: str) -> tuple[Node, ...]:
    """The nodes of a cluster that take part, as MADlib distributes data; W counts these.

    Parameters
    ----------
    which : one of :data:`~experiments.specs.topology.SEGMENTS_TO_USE`: MADlib's ``all_segments`` or
        ``gpu_segments``.

    Raises
    ------
    EnvironmentFault
        Only those with a GPU shall, and none has one.
    """
    if which == ALL_SEGMENTS:
        return tuple(nodes)
    usable = tuple(node for node in nodes if node.gpu is not None)
    if not usable:
        raise _nothing_usable(f"none of {len(nodes)} nodes has a GPU")
    return usable


def check_segments(which: str, found: Found) -> None:
    """What :func:`usable_nodes` refuses, before there are nodes, of a cluster on this machine."""
    if which == GPU_SEGMENTS and not found.gpus:
        raise _nothing_usable(f"this machine has no GPU ({found.reason})")


def _nothing_usable(why: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"--segments {GPU_SEGMENTS}: {why}; leave the option out to train on CPUs"
    )


def devices(topology: Topology) -> list[str]:
    """What each node is to train on: the name of a GPU, or :data:`CPU`.

    A GPU that is not this machine's is told by its UUID.
    """
    names = {gpu.uuid: gpu.name for gpu in nvidia.find().gpus}
    return [CPU if node.gpu is None else names.get(node.gpu, node.gpu) for node in topology.nodes]


def told(topology: Topology, node: Node) -> str:
    """What a node trains on, asked there, as a sentence for its roles' logs.

    Raises
    ------
    EnvironmentFault
        Its GPU is not there.
    """
    if node.gpu is None:
        return f"node {node.index} trains on the CPU"
    sentence = f"node {node.index} trains on {nvidia.one(node.gpu).name} ({node.gpu})"
    sharing = topology.sharing(node)
    if sharing == 1:
        return sentence
    return f"{sentence}, with {fraction(sharing):.2g} of its memory: {sharing} nodes share it"


def remarks(found: Found, nodes: int) -> list[str]:
    """What a user should know before so many nodes of this machine train.

    Returns
    -------
    Lines: where there is no GPU, why; what is broken; who shares; what idles; what cannot use one.
    """
    lines = []
    if found.broken:
        lines.append(f"warning: {found.reason}")
    if not found.gpus:
        return [*lines, "training on the CPU" + ("" if found.broken else f": {found.reason}")]
    count = len(found.gpus)
    if nodes > count:
        most = -(-nodes // count)
        upto = "" if nodes % count == 0 else "up to "
        lines.append(
            f"warning: {nodes} workers share {_gpus(count)}: {upto}{most} on one, each with "
            f"{fraction(most):.2g} of its memory"
        )
    elif nodes < count:
        lines.append(f"{count - nodes} of {_gpus(count)} stay idle: --workers is {nodes}")
    lines += [f"warning: {name}'s build here is for CPUs only" for name in cpu_builds()]
    return lines


def cpu_builds() -> list[str]:
    """The frameworks of this environment that can use no GPU."""
    builds = ["TensorFlow"] if _version("tensorflow-cpu") else []
    if _version("torch").endswith("+cpu"):
        builds.append("torch")
    return builds


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _gpus(count: int) -> str:
    return f"{count} GPU" + ("" if count == 1 else "s")
