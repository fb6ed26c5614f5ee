"""Tidy tables of the authors' logs. Every row is of the kind of evidence ``paper logs``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from experiments.analysis.release.client import ERROR
from experiments.analysis.release.events import Intervals, components
from experiments.analysis.release.global_log import seconds_between
from experiments.analysis.release.reading import EVIDENCE, Logs, RunLogs, merged_ranks
from experiments.specs.release_logs import COMPONENTS, ReleaseLogs, Use

HOUR = 3600.0
UNMAPPED = "unmapped"
COUNTED = "network_GB"
MASTER = "master"
_RUN = ("evidence", "experiment", "dataset", "workers", "approach", "title", "row", "run")
TIMES = (
    *_RUN,
    "start",
    "end",
    "wall_s",
    "said_s",
    "etl_s",
    "exec_s",
    "epochs",
    "epoch_s",
    "starts",
)
CURVES = (*_RUN, "config", "epoch", "split", "loss", "top5_error", "top1_error", "hours", "source")
PARTS = (*_RUN, "component", "before", "after", "worker_seconds", "tracked", "epoch_h")
SAMPLES = (
    *(*_RUN, "kind", "node", "measure", "samples", "mean", "smallest", "largest", "grown"),
    *("first", "last", "covered"),
)
USED = (*_RUN, "measure", "value", "unit", "nodes", "covered")


def runs(logs: Logs, spec: ReleaseLogs) -> Iterator[tuple[RunLogs, Use | None]]:
    """Every run, once for each experiment that it was used for; once with none if for none."""
    order = list(spec.approaches)
    for run in sorted(
        logs.runs, key=lambda run: order.index(run.approach.id) if run.approach else -1
    ):
        approach = run.approach
        uses = list(spec.uses(run.stamp, approach.id)) if approach else []
        if not uses:
            yield run, None
        for use in uses:
            yield run, use


def times(logs: Logs, spec: ReleaseLogs) -> pd.DataFrame:
    """When each run started and ended; seconds in all, of the ETL within, and without it.

    ``etl_s`` is empty where the logs do not say when the ETL ended; ``exec_s`` is then all of it.
    ``starts`` counts how often it was started.
    """
    rows = []
    for run, use in runs(logs, spec):
        window = run.window
        if window is None:
            continue
        wall, etl = window.seconds, run.etl_s
        counted = None if wall is None else wall - (etl or 0.0)
        epochs = use.epochs if use else None
        rows.append(
            {
                **_of(run, use),
                "start": window.start,
                "end": window.end,
                "wall_s": wall,
                "said_s": window.said_s,
                "etl_s": etl,
                "exec_s": counted,
                "epochs": epochs,
                "epoch_s": counted / epochs if counted is not None and epochs else None,
                "starts": len(run.windows),
            }
        )
    return _table(rows, TIMES)


def curves(logs: Logs, spec: ReleaseLogs) -> pd.DataFrame:
    """Measures of every configuration after every epoch; ``hours`` since training began.

    ``source`` says which kind of log has them.
    """
    rows: list[dict[str, Any]] = []
    for run, use in runs(logs, spec):
        found = (*_of_models(run), *_of_clients(run), *_of_spark(run), *_of_tasks(run))
        rows += [{**_of(run, use), **each} for each in found]
    return _table(rows, CURVES)


def parts(logs: Logs, spec: ReleaseLogs) -> pd.DataFrame:
    """Where the time of workers went, by component; and by pair of events what no rule is for.

    ``worker_seconds`` are of all ``tracked`` workers, ``epoch_h`` hours an epoch per worker.
    """
    rows: list[dict[str, Any]] = []
    for run, use in runs(logs, spec):
        if run.approach is None:
            continue
        intervals = _intervals(run)
        rules = spec.rules[run.approach.events]
        if intervals is None or not rules:
            continue
        of, unmapped = components(intervals.seconds, rules)
        tracked = len(intervals.workers)
        by = HOUR * tracked * use.epochs if use else None
        found = [(name, "", "", of[name]) for name in COMPONENTS if name in of]
        found += [(UNMAPPED, *pair, value) for pair, value in sorted(unmapped.items())]
        for name, before, after, value in found:
            rows.append(
                {
                    **_of(run, use),
                    "component": name,
                    "before": before,
                    "after": after,
                    "worker_seconds": value,
                    "tracked": tracked,
                    "epoch_h": value / by if by else None,
                }
            )
    return _table(rows, PARTS)


def sampled(logs: Logs, spec: ReleaseLogs) -> pd.DataFrame:
    """Every node's measures within every run, without its ETL where that is known.

    ``covered`` is which part of the window lies between the first and the last sample.
    """
    rows: list[dict[str, Any]] = []
    for run, use in runs(logs, spec):
        if run.counted is None:
            continue
        length = seconds_between(*run.counted)
        for (kind, node), within in sorted(run.resources.items()):
            span = seconds_between(within.first, within.last)
            for measure, found in sorted(within.sums.items()):
                rows.append(
                    {
                        **_of(run, use),
                        "kind": kind,
                        "node": node,
                        "measure": measure,
                        "samples": found.samples,
                        "mean": found.mean,
                        "smallest": found.low,
                        "largest": found.high,
                        "grown": found.grown,
                        "first": within.first,
                        "last": within.last,
                        "covered": span / length if length else None,
                    }
                )
    return _table(rows, SAMPLES)


def used(samples: pd.DataFrame, spent: pd.DataFrame) -> pd.DataFrame:
    """The columns of Tables 6 and 7, as the release's ``data_analytics.py`` made them.

    Percentages are means over workers of each worker's mean, disk is what counters grew per worker,
    network what master and workers received on the network of the experiment.
    """
    rows: list[dict[str, Any]] = []
    lengths = spent.set_index(["run", "experiment"])["exec_s"]
    for key, of in samples.groupby(["run", "experiment"], sort=False, dropna=False):
        common = {name: of[name].iloc[0] for name in _RUN}
        workers = of[of["node"] != MASTER]
        for measure in ("gpu_util_pct", "gpu_ram_pct", "gpu_power_w", "cpu_pct", "dram_pct"):
            means = workers[workers["measure"] == measure]
            unit = "W" if measure.endswith("_w") else "%"
            rows += _used(common, measure, means["mean"].mean(), unit, means)
        for measure, name in (("read_MB:", "disk_read_GB"), ("write_MB:", "disk_write_GB")):
            found = workers[workers["measure"].str.startswith(measure)]
            value = found.groupby("node")["grown"].sum().mean() / 1024
            rows += _used(common, f"{name}_per_worker", value, "GB", found)
        received = of[of["measure"] == "received_kBps:experiment"]
        seconds = float(lengths.loc[[key]].iloc[0])
        rows += _used(common, COUNTED, received["mean"].sum() * seconds / 1024**2, "GB", received)
    return _table(rows, USED)


def _used(
    common: Mapping[str, Any], measure: str, value: float, unit: str, of: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    if not of.empty:
        nodes, covered = of["node"].nunique(), of["covered"].min()
        found = {"measure": measure, "value": value, "unit": unit, "nodes": nodes}
        yield {**common, **found, "covered": covered}


def files(logs: Logs) -> pd.DataFrame:
    """Every file: what it is, how many lines were read, used and damaged, why it was not read."""
    return pd.DataFrame(
        [
            {
                "file": found.shown,
                "kind": found.kind,
                "bytes": found.bytes,
                "run": found.run,
                "lines": account.lines,
                "used": account.used,
                "damaged": account.damaged,
                "remark": found.remark,
            }
            for found, account in logs.files
        ]
    )


def damaged(logs: Logs) -> pd.DataFrame:
    """Damaged lines, of each file the first; ``files`` has how many there are."""
    rows = [
        {"file": found.shown, "line": each.line, "reason": each.reason, "begins": each.text}
        for found, account in logs.files
        for each in account.listed
    ]
    return pd.DataFrame(rows, columns=["file", "line", "reason", "begins"])


def _intervals(run: RunLogs) -> Intervals | None:
    """The intervals that an approach's rules are for; nothing where its logs have no event."""
    events = run.approach.events if run.approach else "none"
    if events == "ranks":
        candidates: Iterable[Intervals] = (merged_ranks(run),)
    elif events == "scheduler":
        candidates = (told.workers for told in run.first_told())
    else:
        candidates = (told.segments for told in run.first_told())
    return next((each for each in candidates if each.seconds), None)


def _of_models(run: RunLogs) -> Iterator[dict[str, Any]]:
    etl = run.etl_s or 0.0
    ends = next((told.evaluated_s for told in run.first_told() if told.evaluated_s), {})
    for number, measures in sorted(run.models.items()):
        for each in measures:
            end = ends.get((number, each.epoch - 1)) if each.split == "valid" else None
            yield {
                "config": str(number),
                "epoch": each.epoch,
                "split": each.split,
                "loss": each.loss,
                ERROR: each.top5_error,
                "top1_error": each.top1_error,
                "hours": None if end is None else (end - etl) / HOUR,
                "source": "model's log",
            }


def _of_clients(run: RunLogs) -> Iterator[dict[str, Any]]:
    """What a CTQ client printed: of each batch of a search, or of the whole run."""
    window = run.window
    for told in run.first_told():
        batches = told.batches or ([told.measures] if told.measures else [])
        ends = iter(told.epoch_ends)
        for number, batch in enumerate(batches):
            epochs = max((len(each) for each in batch.values()), default=0)
            hours = [
                seconds_between(window.start, end) / HOUR if window else None
                for _, end in zip(range(epochs), ends, strict=False)
            ]
            for config, errors in batch.items():
                for epoch, error in enumerate(errors, 1):
                    yield {
                        "config": f"batch {number + 1}: {config}" if told.batches else config,
                        "epoch": epoch,
                        "split": "valid",
                        ERROR: error,
                        "hours": hours[epoch - 1] if epoch <= len(hours) else None,
                        "source": "client's log",
                    }
        if batches:
            return


def _of_spark(run: RunLogs) -> Iterator[dict[str, Any]]:
    window = run.window
    for told in run.first_told():
        for each in told.spark:
            since = seconds_between(window.start, each.time) if window else None
            yield {
                "config": str(each.model),
                "epoch": each.epoch + 1,
                "split": "valid",
                ERROR: each.error,
                "hours": None if since is None else (since - (run.etl_s or 0.0)) / HOUR,
                "source": "client's log",
            }
        if told.spark:
            return


def _of_tasks(run: RunLogs) -> Iterator[dict[str, Any]]:
    window = run.window
    for name, task in sorted(run.tasks.items()):
        count = len(task.errors)
        took = seconds_between(task.start, task.end)
        since = seconds_between(window.start, task.start) if window else None
        for epoch, error in enumerate(task.errors, 1):
            last = epoch == count
            yield {
                "config": name,
                "epoch": epoch,
                "split": "valid",
                ERROR: error,
                "hours": None if since is None else (since + took * epoch / count) / HOUR,
                "source": "task's log" if last else "task's log; hours between its start and end",
            }


def _of(run: RunLogs, use: Use | None) -> dict[str, Any]:
    approach = run.approach
    return {
        "evidence": EVIDENCE,
        "experiment": use.experiment.id if use else "",
        "dataset": use.experiment.dataset if use else "",
        "workers": use.workers if use else None,
        "approach": approach.id if approach else "",
        "title": approach.title if approach else run.experiment,
        "row": approach.row if approach else "",
        "run": run.name,
    }


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))
