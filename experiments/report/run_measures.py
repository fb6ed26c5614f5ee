"""Measures of one run, from its journal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from experiments.analysis import durations, measures, searches, tidy
from experiments.analysis.runs import Run
from experiments.report.quantities import Unavailable
from experiments.report.verdict import Outcome

Measured = float | Unavailable


@dataclass(frozen=True)
class Measure:
    """How to find a number in a run, and its unit."""

    of: Callable[[Run], Measured]
    unit: str = ""


def components(run: Run) -> dict[str, Measured]:
    """Every measure of :data:`COMPONENTS`."""
    table = tidy.components(run).set_index("component")
    found: dict[str, Measured] = {"epoch_parts": float(table["seconds"].sum())}
    for name in tidy.COMPONENTS:
        found[name] = float(table["seconds"][name])
        share = float(table["share"][name])
        nothing = Unavailable(f"the journal of {run.name} has no time of any component")
        found[f"{name}_share"] = share if math.isfinite(share) else nothing
    return found


COMPONENTS = ("epoch_parts", *tidy.COMPONENTS, *(f"{name}_share" for name in tidy.COMPONENTS))
"""Measures that are found together."""


_LEARNED_NOTHING = Unavailable(
    "emulated workers learn nothing: this needs runs that train", Outcome.NOT_RUN
)


def best_errors(run: Run, column: str = "") -> Mapping[int, float] | Unavailable:
    """The measure of the best configuration after each epoch; best is what is best at the last.

    Parameters
    ----------
    column : of the evaluations; by default what figures show of so many classes.
    """
    if run.spec.emulation is not None:
        return _LEARNED_NOTHING
    column = column or measures.of(run.classes).column
    table = tidy.evaluations(run)
    table = table[table["split"] == "valid"]
    finite = table[table[column].map(math.isfinite) & table["loss"].map(math.isfinite)]
    last = finite[finite["epoch"] == table["epoch"].max()]
    if last.empty:
        return Unavailable(f"every configuration of {run.name} diverged")
    best = last.loc[last[column].idxmin(), "model"]
    own = finite[finite["model"] == best]
    return {
        int(epoch): float(value) for epoch, value in zip(own["epoch"], own[column], strict=True)
    }


def final_error(run: Run, column: str = "") -> Measured:
    found = best_errors(run, column)
    return found if isinstance(found, Unavailable) else found[max(found)]


def seconds_to(run: Run, error: float) -> Measured:
    """Execution until the best configuration's error is at most this, epochs taken as equal."""
    found = best_errors(run)
    if isinstance(found, Unavailable):
        return found
    reached = [epoch for epoch, value in sorted(found.items()) if value <= error]
    if not reached:
        return Unavailable(f"{run.name} never had an error of {error:.3f}")
    return durations.execution(run) * reached[0] / run.spec.epochs


def search_seconds(run: Run) -> Measured:
    """From the start of training to the last evaluation."""
    found = [at for event, at in searches.elapsed(run.events) if event.kind == "evaluated"]
    return max(found) if found else Unavailable(f"{run.name} evaluated nothing")


def search_error(run: Run) -> Measured:
    """The lowest error that a configuration has at its last epoch."""
    if run.spec.emulation is not None:
        return _LEARNED_NOTHING
    table = tidy.evaluations(run)
    table = table[table["split"] == "valid"]
    column = measures.of(run.classes).column
    last = table.sort_values("epoch").groupby("model")[column].last()
    finite = last[last.map(math.isfinite)]
    return float(finite.min()) if len(finite) else Unavailable(f"everything diverged in {run.name}")


def read_bytes(run: Run) -> float:
    return float(sum(event.bytes for event in run.events if event.phase == "data_transmission"))


def read_over_packed(run: Run) -> Measured:
    """What training read through the server, over what was packed for it."""
    part = durations.etl_parts(run).get("pack")
    if part is None or not part.bytes:
        return Unavailable(f"{run.name} packed no table that it could read")
    return read_bytes(run) / part.bytes


def moved_over_formula(run: Run) -> Measured:
    """Bytes of states that units of training read and wrote, over what the formula says.

    Model hopping sends epochs x workers x states. Both reading and writing a state are in the
    journal, where states go through a shared file system or the coordinator; half of both is what
    was sent once. A state's size is the largest that a model's unit moved.
    """
    moved, largest = 0.0, dict[int, int]()
    training: set[tuple[int | None, ...]] = set()
    for event in run.events:
        key = (event.worker, event.model, event.partition, event.epoch)
        if event.kind == "unit_started":
            if event.detail.get("kind") == "train":
                training.add(key)
            else:
                training.discard(key)
        elif event.phase == "model_transmission" and key in training and event.model is not None:
            moved += event.bytes
            largest[event.model] = max(largest.get(event.model, 0), event.bytes)
    formula = run.spec.epochs * run.spec.workers * sum(largest.values())
    if not formula:
        return Unavailable(f"the journal of {run.name} tells of no state that was moved")
    return moved / 2 / formula


def copies_held(run: Run) -> Measured:
    """What Direct Access keeps of its own on disk, over the shard that it holds."""
    shards = [event.detail for event in run.events if event.kind == "shard_read"]
    if not shards:
        return Unavailable(
            f"{run.spec.approach} reads the prepared files that all approaches begin with here: a "
            "copy of its own is not in its journal"
        )
    parts = durations.etl_parts(run)
    written = sum(parts[name].bytes for name in ("export", "cast") if name in parts)
    return written / sum(float(each["shard_bytes"]) for each in shards)


def of_size(run: Run, architecture: str) -> Mapping[str, float] | Unavailable:
    """Seconds of an epoch for models of one architecture, mean per worker."""
    numbers = [n for n, config in run.configs.items() if config.architecture == architecture]
    table = tidy.spans(run)
    table = table[table["epoch"].notna() & table["model"].isin(numbers)]
    if table.empty:
        return Unavailable(f"{run.name} has no model of {architecture}")
    share = run.spec.workers * run.spec.epochs
    training = _seconds(table, tidy.COMPONENTS["train_valid"]) / share
    hop = _seconds(table, tidy.COMPONENTS["model_transmission"]) / share
    return {
        "size_train_valid": training,
        "size_hop": hop,
        "size_hop_share": hop / (training + hop),
    }


def unit_seconds(run: Run) -> Mapping[int, float]:
    """Mean seconds of each model's units of training, without moving its state."""
    table = tidy.spans(run)
    trained = table[(table["phase"] == "train") & table["model"].notna()]
    return {int(model): float(s) for model, s in trained.groupby("model")["seconds"].mean().items()}


def _seconds(table: pd.DataFrame, phases: tuple[str, ...]) -> float:
    return float(table.loc[table["phase"].isin(phases), "seconds"].sum())


MEASURES: Mapping[str, Measure] = {
    "execution": Measure(durations.execution, "s"),
    "etl": Measure(durations.etl, "s"),
    "end_to_end": Measure(lambda run: durations.etl(run) + durations.execution(run), "s"),
    "epoch": Measure(lambda run: durations.execution(run) / run.spec.epochs, "s"),
    "final_error": Measure(final_error),
    "final_top1_error": Measure(lambda run: final_error(run, "top1_error")),
    "search_seconds": Measure(search_seconds, "s"),
    "search_error": Measure(search_error),
    "read_bytes": Measure(read_bytes, "B"),
    "read_over_packed": Measure(read_over_packed),
    "moved_over_formula": Measure(moved_over_formula),
    "copies_held": Measure(copies_held),
}
"""Measures that one run has by itself, beside :data:`COMPONENTS`."""
