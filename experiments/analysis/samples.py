"""A run's samples, on one clock with its journal, and what lies between two moments of them.

All moments are seconds since 1970, made of monotonic clocks: each start of a sampler or of the run
told both clocks, so nodes agree as well as their wall clocks do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.analysis.runs import Run
from experiments.errors import DataError
from experiments.paths import RunFolder
from experiments.specs.topology import SAMPLER, Topology
from experiments.telemetry import readings, store
from experiments.telemetry.readings import Header

Window = tuple[float, float]
"""From and until: seconds since 1970."""

NOT_RECORDED = "not recorded"
_COVERED = 0.9
_GAP_PERIODS = 4.0
_EDGE_PERIODS = 2.0


@dataclass(frozen=True)
class NodeSamples:
    """What one sampler saw.

    Attributes
    ----------
    header : its last.
    frame : a row per sample, by seconds since 1970; columns are (source, name, counter).
    """

    header: Header
    frame: pd.DataFrame

    def nearest(self, window: Window) -> tuple[int, int]:
        """Indices of the samples nearest to a window's ends."""
        times = self.frame.index.to_numpy()
        first, last = (int(np.abs(times - moment).argmin()) for moment in window)
        return first, last

    def seconds(self, windows: Iterable[Window]) -> float:
        """From the first to the last sample of each window."""
        times = self.frame.index.to_numpy()
        pairs = map(self.nearest, windows)
        return float(sum(times[last] - times[first] for first, last in pairs))

    def lacking(self, windows: Iterable[Window]) -> float:
        """Seconds between the ends of some windows and the samples nearest to them."""
        times = self.frame.index.to_numpy()
        return float(
            sum(
                abs(times[at] - moment)
                for window in windows
                for at, moment in zip(self.nearest(window), window, strict=True)
            )
        )

    def covered(self, windows: Iterable[Window]) -> float:
        """The part of some windows in which there were samples, of 1."""
        longest = _GAP_PERIODS * self.header.period
        times = self.frame.index.to_numpy()
        seen = wanted = 0.0
        for start, end in windows:
            first, last = self.nearest((start, end))
            gaps = np.diff(np.clip(times[max(0, first - 1) : last + 2], start, end))
            seen += float(np.minimum(gaps, longest).sum()) if first != last else 0.0
            wanted += end - start
        return seen / wanted if wanted else 0.0

    def names(self, source: str) -> list[str]:
        columns = self.frame.columns
        return sorted({name for where, name, _ in columns if where == source})

    def series(self, source: str, name: str, counter: str) -> pd.Series | None:
        """One counter by time; None where it was never read."""
        key = (source, name, counter)
        return self.frame[key] if key in self.frame.columns else None

    def increase(self, source: str, name: str, counter: str, windows: Iterable[Window]) -> float:
        """How much a counter grew between the samples nearest to each window's ends.

        One that was not there yet stood at 0, as that of a role that had not been started; one that
        begins anew, as after a restart of the machine, counts from there.
        """
        series = self.series(source, name, counter)
        if series is None:
            return 0.0
        values = series.ffill().fillna(0.0).to_numpy()
        steps = np.maximum(np.diff(values), 0.0)
        return float(sum(steps[first:last].sum() for first, last in map(self.nearest, windows)))

    def values(
        self, source: str, name: str, counter: str, windows: Iterable[Window]
    ) -> pd.Series | None:
        """A counter's values at the samples of some windows; None where it was never read."""
        series = self.series(source, name, counter)
        if series is None:
            return None
        parts = [series.iloc[first : last + 1] for first, last in map(self.nearest, windows)]
        return pd.concat(parts).dropna() if parts else None


def load(run: Run) -> Sequence[NodeSamples]:
    """The samples of a run's nodes, in their order; none where none were kept."""
    folder = RunFolder(run.folder).telemetry
    return [_node(path) for path in store.kept_files(folder)]


def _node(path: Path) -> NodeSamples:
    headers, table = store.read(path)
    rows = table.to_pandas()
    if rows.empty:
        raise DataError(f"{path}: has no samples")
    offsets = np.array([header.offset_s for header in headers])
    rows["time"] = rows["mono_ns"] / 1e9 + offsets[rows["start"]]
    for column in ("source", "name", "counter"):
        rows[column] = rows[column].astype(str)
    frame = rows.pivot(index="time", columns=["source", "name", "counter"], values="value")
    return NodeSamples(headers[-1], frame.sort_index())


def missing(run: Run, nodes: Sequence[NodeSamples], windows: Sequence[Window]) -> str:
    """Why the samples cannot stand for some windows of a run; empty where they can."""
    if not nodes:
        return NOT_RECORDED
    topology = RunFolder(run.folder).topology
    if topology.exists():
        wanted = {node.index for node in Topology.read(topology).nodes_of(SAMPLER)}
        if lost := wanted - {node.header.node for node in nodes}:
            return f"the sampler of node {min(lost)} left nothing"
    for node in nodes:
        if not node.seconds(windows):
            return f"it was over within one period of {node.header.period:g} s"
        lacking = node.lacking(windows)
        if lacking > max(
            _EDGE_PERIODS * node.header.period * len(windows),
            (1 - _COVERED) * sum(end - start for start, end in windows),
        ):
            return f"node {node.header.node} has no samples of {lacking:.0f} s at its ends"
    return ""


def sparse(nodes: Sequence[NodeSamples], windows: Sequence[Window]) -> str:
    """Why means over samples cannot stand for some windows; empty where they can.

    Counters of the kernel go on while no sampler looks, so what they grew by can.
    """
    for node in nodes:
        covered = node.covered(windows)
        if covered < _COVERED:
            return f"node {node.header.node} has samples of {100 * covered:.0f} % of it only"
    return ""


def execution(run: Run) -> list[Window]:
    """For each start of the run: from its first epoch's start to the end of its last event in one.

    What lies before the first epoch (ETL; starting workers and building networks) is not in it.
    """
    windows: list[Window] = []
    offset, start, last = 0.0, None, 0.0
    for event in run.events:
        if event.kind == "run_started":
            if start is not None:
                windows.append((start, last))
            offset, start = event.wall - event.mono_ns / 1e9, None
        elif event.kind == "epoch_started" or event.epoch is not None:
            last = event.mono_ns / 1e9 + offset
            if event.kind == "epoch_started" and start is None:
                start = last
    return windows if start is None else [*windows, (start, last)]


def etl(run: Run) -> list[Window]:
    """The stages ``etl`` of each start of the run."""
    windows: list[Window] = []
    offset = 0.0
    for event in run.events:
        if event.kind == "run_started":
            offset = event.wall - event.mono_ns / 1e9
        elif event.kind == "stage" and event.detail.get("name") == "etl":
            end = event.mono_ns / 1e9 + offset
            windows.append((end - float(event.detail["seconds"]), end))
    return windows


def one_each(nodes: Sequence[NodeSamples], of: str = "boot") -> list[NodeSamples]:
    """The first sampler of every machine (``boot``) or namespace (``network``)."""
    found: dict[tuple[str, str], NodeSamples] = {}
    for node in nodes:
        key = node.header.boot, getattr(node.header, of)
        found.setdefault(key, node)
    return list(found.values())


def roles(node: NodeSamples) -> list[str]:
    """The run's roles that a sampler saw, without the sampler itself."""
    return [name for name in node.names(readings.GROUP) if not name.startswith(f"{SAMPLER}-")]
