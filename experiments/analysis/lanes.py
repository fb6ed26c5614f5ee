"""What a run's machines were doing while it trained: lanes below its Gantt chart, by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.analysis import page, samples, tidy
from experiments.analysis.output import RC
from experiments.analysis.runs import Run
from experiments.analysis.samples import NOT_RECORDED, NodeSamples
from experiments.telemetry import readings
from experiments.telemetry.network import CLUSTER

LANE, GAP = 0.62, 0.16
"""Inches of a lane, and of what is between two."""

_OURS, _SECOND, _OTHERS = "#0072b2", "#d55e00", "#c8c8c8"
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Curve:
    """A value from each sample to the next: ``times`` are the edges, seconds as in the chart."""

    label: str
    times: np.ndarray
    values: np.ndarray
    colour: str
    filled: bool = False


@dataclass(frozen=True)
class Lane:
    """Curves of one unit, the lowest last; or the reason why there are none."""

    title: str
    unit: str
    curves: Sequence[Curve] = ()
    reason: str = ""


def lanes(run: Run) -> list[Lane]:
    """Processors, GPUs, network and disks; neighbours are what the run's processes are not.

    A run without samples has none.
    """
    nodes = samples.load(run)
    if not nodes:
        return []
    zero = _zero(run)
    return [_cpu(nodes, zero), _gpu(nodes, zero), _network(nodes, zero), _disk(nodes, zero)]


def notes(drawn: Sequence[Lane]) -> list[str]:
    """What to say below a chart with these lanes."""
    if not drawn:
        return [f"Resources: {NOT_RECORDED} of this run."]
    return [
        "Below, by the same time: the run's own processes in colour; in grey the whole machine, so "
        "what is grey alone is neighbours and the system."
    ]


def height(drawn: Sequence[Lane]) -> float:
    """Inches that they take."""
    return len(drawn) * (LANE + GAP)


def draw(
    figure: Figure, drawn: Sequence[Lane], until: float, *, left: float, top: float, wide: float
) -> None:
    """Draw lanes from ``top`` downwards (inches of the page), seconds 0 to ``until``."""
    with mpl.rc_context(RC):
        for number, lane in enumerate(drawn):
            bottom = top - (number + 1) * LANE - number * GAP
            axes = page.axes(figure, left, bottom, wide, LANE)
            _draw(axes, lane, until)
            axes.tick_params(labelbottom=number + 1 == len(drawn))
            if number + 1 == len(drawn):
                axes.set_xlabel("seconds since the first unit began", fontsize=9)


def _draw(axes: Axes, lane: Lane, until: float) -> None:
    for curve in lane.curves:
        axes.stairs(
            curve.values,
            curve.times,
            fill=curve.filled,
            color=curve.colour,
            label=curve.label,
            linewidth=1.0,
        )
    axes.set_xlim(0, until * 1.02)
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="y", nbins=3)
    axes.set_ylabel(f"{lane.title}\n{lane.unit}", fontsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if lane.reason:
        axes.set_yticks([])
        axes.text(0.01, 0.5, lane.reason, transform=axes.transAxes, fontsize=8, va="center")
    elif lane.curves:
        axes.legend(loc="upper right", fontsize=7, ncols=len(lane.curves), frameon=False)


def _zero(run: Run) -> float:
    """When the first unit began, as seconds since 1970."""
    spans = tidy.spans(run)
    first = int(spans.loc[spans["epoch"].notna(), "start_ns"].min())
    start = next(event for event in run.events if event.kind == "run_started")
    return start.wall - start.mono_ns / 1e9 + first / 1e9


Series = Callable[[NodeSamples], "np.ndarray | None"]
"""A growing counter of a node at each of its samples."""


def _rate(nodes: Sequence[NodeSamples], zero: float, of: Series, unit: float) -> Curve:
    """The sum over nodes of a counter's growth per second, by the samples of the first."""
    times = nodes[0].frame.index.to_numpy()
    total = np.zeros(len(times))
    for node in nodes:
        values = of(node)
        if values is not None:
            total += np.interp(times, node.frame.index.to_numpy(), values)
    growth = np.maximum(np.diff(total), 0) / np.maximum(np.diff(times), 1e-9) / unit
    return Curve("", times - zero, growth, _OURS)


def _labelled(curve: Curve, label: str, colour: str, *, filled: bool = False) -> Curve:
    return Curve(label, curve.times, curve.values, colour, filled)


def _sum(source: str, names: Callable[[NodeSamples], Sequence[str]], *counters: str) -> Series:
    def of(node: NodeSamples) -> np.ndarray | None:
        found = [
            series.ffill().fillna(0.0).to_numpy()
            for name in names(node)
            for counter in counters
            if (series := node.series(source, name, counter)) is not None
        ]
        return np.sum(found, axis=0) if found else None

    return of


def _host(_: NodeSamples) -> Sequence[str]:
    return [""]


def _cpu(nodes: Sequence[NodeSamples], zero: float) -> Lane:
    machines = samples.one_each(nodes)
    unit = 1e6 * sum(node.header.cores for node in machines) / 100
    whole = _rate(machines, zero, _sum(readings.HOST, _host, "user_us", "system_us"), unit)
    own = _rate(nodes, zero, _sum(readings.GROUP, samples.roles, "cpu_us"), unit)
    return Lane(
        "CPU",
        "% of cores",
        [
            _labelled(whole, "machine, neighbours included", _OTHERS, filled=True),
            _labelled(own, "this run", _OURS),
        ],
    )


def _gpu(nodes: Sequence[NodeSamples], zero: float) -> Lane:
    curves: list[Curve] = []
    for node in nodes:
        for uuid in node.names(readings.GPU):
            series = node.series(readings.GPU, uuid, "busy_pct")
            if series is not None and len(series) > 1:
                times = node.frame.index.to_numpy() - zero
                values = series.fillna(0.0).to_numpy()[1:]
                curves.append(Curve(uuid[:12], times, values, f"C{len(curves) % 10}"))
    told = [node.header.states.get(readings.GPU, "") for node in nodes]
    reason = "" if curves else next(filter(None, told), "the GPUs do not tell how busy they are")
    return Lane("GPU", "%", curves, reason)


def _network(nodes: Sequence[NodeSamples], zero: float) -> Lane:
    own = samples.one_each(nodes, "network")
    kinds = nodes[0].header.interfaces
    shared = kinds.get("lo") == CLUSTER
    label = "loopback, whole machine" if shared else "received by the nodes"

    def cluster(node: NodeSamples) -> Sequence[str]:
        return [name for name, kind in node.header.interfaces.items() if kind == CLUSTER]

    rate = _rate(own, zero, _sum(readings.NETWORK, cluster, "received_bytes"), _MEGABYTE)
    return Lane(
        "network", "MB/s", [_labelled(rate, label, _OTHERS if shared else _OURS, filled=shared)]
    )


def _disk(nodes: Sequence[NodeSamples], zero: float) -> Lane:
    machines = samples.one_each(nodes)

    def disks(node: NodeSamples) -> Sequence[str]:
        return node.names(readings.DISK)

    whole = _sum(readings.DISK, disks, "read_bytes", "write_bytes")
    read = _sum(readings.GROUP, samples.roles, "read_bytes")
    written = _sum(readings.GROUP, samples.roles, "write_bytes")
    return Lane(
        "disk",
        "MB/s",
        [
            _labelled(_rate(machines, zero, whole, _MEGABYTE), "devices", _OTHERS, filled=True),
            _labelled(_rate(nodes, zero, read, _MEGABYTE), "read by this run", _OURS),
            _labelled(_rate(nodes, zero, written, _MEGABYTE), "written by this run", _SECOND),
        ],
    )
