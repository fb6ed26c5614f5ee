"""What planned runs will take here: time and disk, from what was seen on this machine.

A run that was carried out before, in an earlier state of the code or with another seed, takes as
long as then. Any other is put together from the parts of runs like it:

``start + dataset + etl + init + (compute + beside) / parallel + close + stop``

*compute* is what the workers' spans of training and evaluation take in all: rows and batches, each
with its seconds by architecture. *beside* is all else that happens between them (hops, dispatch,
waiting). Nothing is assumed that was not measured here: where a part was never seen the run's time
is unknown, and says what is missing.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import nnls

from experiments.approaches.base import Trait, find
from experiments.datasets import is_prepared
from experiments.errors import DataError
from experiments.paths import Artifacts, state
from experiments.runner import needs
from experiments.runner.plan import PlannedRun, RunState
from experiments.runner.seen import Network, Seen, Shape, Work, seen, shape
from experiments.specs.model import RunSpec

PILOT = "pilot"
"""The experiment of the pilot's short runs (:mod:`experiments.runner.short_runs`)."""

EVENLY = 0.03
"""Weight of sharing time among amounts that grow together, against fitting what was seen."""

FIXED = 0.1
"""The same of what is fixed, which is shared with the others only as far as rows tell it."""

CROWDED = ("start", "close")
"""Parts in which every worker computes, so that they take longer the fewer cores there are."""

STEADY = ("start", "close", "stop")
"""Parts that do not depend on the data."""


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to take.

    Attributes
    ----------
    seconds : from the command until the next run can start; ``None`` where something that it needs
        was never measured here.
    bytes : of disk at most while it runs, beside what is there; ``None`` where its data were not
        read yet.
    source : what it was worked out from, or what is missing.
    parts : seconds by part, where it was put together.
    """

    seconds: float | None
    bytes: int | None
    source: str
    parts: Mapping[str, float]


class Unknown(Exception):
    """Nothing was seen here that tells; the message says what is missing."""


class Estimator:
    """Predicts runs from finished ones.

    Parameters
    ----------
    known : finished runs of this machine.
    rates : the models that the pilot has measured, by data set and architecture
        (:attr:`experiments.paths.State.pilot`).
    """

    def __init__(
        self, known: Sequence[Seen], rates: Mapping[str, Mapping[str, Mapping[str, Any]]]
    ) -> None:
        self._known = known
        self._rates = rates

    @classmethod
    def of_this_machine(cls) -> Estimator:
        """From all finished runs in ``artifacts/``, the pilot's among them, and its models."""
        runs = Artifacts().runs
        known = seen(runs.iterdir() if runs.exists() else ())
        pilot = state().pilot
        rates = json.loads(pilot.read_text(encoding="utf-8"))["models"] if pilot.exists() else {}
        return cls(known, rates)

    def run(self, spec: RunSpec, runtime: str, *, prepared: bool | None = None) -> Estimate:
        """One run.

        Parameters
        ----------
        prepared : whether its data set will be; by default whether it is now.
        """
        try:
            disk = needs.disk_bytes([spec])
            if prepared is None:
                prepared = is_prepared(spec.dataset, spec.workers, spec.seed)
        except DataError as error:  # raw data that were not read yet
            return Estimate(None, None, str(error), {})
        same = [each for each in self._known if each.runtime == runtime and _same(each.spec, spec)]
        if same:
            seconds = statistics.median(each.seconds for each in same)
            return Estimate(seconds, disk, f"{len(same)} earlier runs of it", {})
        try:
            parts, source = self._parts(spec, runtime, prepared=prepared)
        except Unknown as unknown:
            return Estimate(None, disk, str(unknown), {})
        return Estimate(sum(parts.values()), disk, source, parts)

    def _parts(
        self, spec: RunSpec, runtime: str, *, prepared: bool
    ) -> tuple[dict[str, float], str]:
        donors, kin = self._donors(spec, runtime)
        todo = shape(spec)
        near = _nearest(donors, spec)
        parts = {name: _typical(near, todo, name) for name in STEADY}
        parts["init"] = _init(donors, todo)
        parts["etl"] = _by_bytes([(each.spec, each.parts["etl"]) for each in donors], spec)
        parts["dataset"] = self._dataset(spec, prepared=prepared)
        if spec.emulation is None:
            computed = sum(
                self._compute(spec, key, work, todo, donors) for key, work in todo.work.items()
            )
        else:
            computed = _waited(spec, todo)
        parts["units"] = computed / todo.parallel
        parts["beside"] = _beside(donors, todo, computed) / todo.parallel
        return parts, f"{len(donors)} runs of {kin}"

    def _donors(self, spec: RunSpec, runtime: str) -> tuple[list[Seen], str]:
        """Runs that tell of this one's approach, the most alike there are."""
        emulated = spec.emulation is not None
        own, kind = spec.approach, family(spec.approach)
        tests: list[tuple[str, Callable[[Seen], bool]]] = [
            (own, lambda each: each.spec.approach == own and each.runtime == runtime),
            (
                f"approaches like {own}",
                lambda each: family(each.spec.approach) == kind and each.runtime == runtime,
            ),
            (f"{own} elsewhere than in {runtime}", lambda each: each.spec.approach == own),
        ]
        for kin, test in tests:
            found = [each for each in self._known if test(each)]
            alike = [each for each in found if (each.spec.emulation is not None) == emulated]
            if alike:
                return alike, kin
            if found:
                return found, kin
        mend = "it is known after its first run" if _is_package(own) else "give --pilot first"
        raise Unknown(f"nothing like {own} has run here yet: {mend}")

    def _dataset(self, spec: RunSpec, *, prepared: bool) -> float:
        """Preparing a data set, or looking whether it is whole."""
        took: dict[object, list[tuple[RunSpec, float]]] = {}
        for each in self._known:
            one = each.spec
            if one.dataset.name == spec.dataset.name:
                key = (one.dataset, one.workers, one.seed)
                took.setdefault(key, []).append((one, each.parts["dataset"]))
        if not took and not prepared:
            name = spec.dataset.name
            raise Unknown(f"data set {name} has not been prepared here yet: give --pilot first")
        # Of all runs on the same data the slowest is the one that prepared them.
        pick = min if prepared else max
        return _by_bytes([pick(each, key=lambda one: one[1]) for each in took.values()], spec)

    def _compute(
        self,
        spec: RunSpec,
        key: Network,
        work: Work,
        todo: Shape,
        donors: Sequence[Seen],
    ) -> float:
        """Seconds of all workers' spans for one network and kind of batch."""
        dataset, together = spec.dataset.name, _together(spec.approach)
        own = _rate(donors, dataset, key)
        if own is not None:
            return todo.crowding * float(own @ work.amounts)
        modelled = self._modelled(dataset, key, work, together=together)
        if modelled is None:
            raise Unknown(
                f"{key.architecture} on {dataset} has not been measured here: give --pilot "
                f"--experiment {spec.experiment} first"
            )
        return todo.crowding * modelled * self._ratio(donors, key.kind, together=together)

    def _modelled(self, dataset: str, key: Network, work: Work, *, together: bool) -> float | None:
        """What an architecture's work takes by other approaches' runs, or by the pilot's model."""
        others = [
            each
            for each in self._known
            if not _is_package(each.spec.approach) and _together(each.spec.approach) == together
        ]
        rate = _rate(others, dataset, key)
        if rate is not None:
            return float(rate @ work.amounts)
        row = self._rates.get(dataset, {}).get(key.architecture)
        if row is None:
            return None
        return float(work.rows * row[f"{key.kind}_row"] + work.steps * row[f"{key.kind}_batch"])

    def _ratio(self, donors: Iterable[Seen], kind: str, *, together: bool) -> float:
        """How many times as long as modelled the same kind of work took in some runs."""
        took = said = 0.0
        for each in donors:
            if not _tells_rates(each):
                continue
            for key, work in each.shape.work.items():
                name = each.spec.dataset.name
                modelled = self._modelled(name, key, work, together=together)
                if modelled and key.kind == kind:
                    took += work.seconds / each.shape.crowding
                    said += modelled
        return took / said if said else 1.0


def predict(runs: Sequence[PlannedRun]) -> dict[str, Estimate]:
    """Every run that is to be done, by its name, one after the other in this order."""
    pending = [run for run in runs if run.state is not RunState.DONE]
    if not pending:
        return {}
    estimator = Estimator.of_this_machine()
    found: dict[str, Estimate] = {}
    prepared: set[tuple[object, ...]] = set()
    for run in pending:
        data = (run.spec.dataset, run.spec.workers, run.spec.seed)
        there = True if data in prepared else None
        found[run.name] = estimator.run(run.spec, run.runtime, prepared=there)
        prepared.add(data)
    return found


def total(estimates: Iterable[Estimate]) -> float:
    """Seconds of all whose time is known, one after the other."""
    return sum(each.seconds for each in estimates if each.seconds is not None)


def family(approach: str) -> tuple[object, ...]:
    """What approaches have in common that start the same things; packages are each their own."""
    found = find(approach)
    if _is_package(approach):
        return (approach,)
    return (found.roles, _together(approach))


def _same(one: RunSpec, other: RunSpec) -> bool:
    """Whether two specifications differ in nothing but the seed and what a search follows."""
    return _settled(one) == _settled(other)


def _settled(spec: RunSpec) -> RunSpec:
    search = spec.search and replace(spec.search, follows=None)
    return replace(spec, seed=0, search=search)


def _is_package(approach: str) -> bool:
    return Trait.PACKAGE in find(approach).traits


def _together(approach: str) -> bool:
    return Trait.DATA_PARALLEL in find(approach).traits


def _nearest(donors: Sequence[Seen], spec: RunSpec) -> list[Seen]:
    """Those of the nearest number of workers; of these, the same experiment's if there are."""

    def distance(each: Seen) -> tuple[float, bool]:
        return abs(math.log(each.spec.workers / spec.workers)), _unlike(each.spec, spec)

    least = min(map(distance, donors))
    return [each for each in donors if distance(each) == least]


def _unlike(one: RunSpec, other: RunSpec) -> bool:
    return {config.architecture for config in one.configs} != {
        config.architecture for config in other.configs
    }


def _typical(donors: Sequence[Seen], todo: Shape, name: str) -> float:
    """The median of a part; what all workers do at once is scaled by how crowded cores are."""
    values = [
        each.parts[name] * (todo.starting / each.shape.starting if name in CROWDED else 1.0)
        for each in donors
        if name in each.parts
    ]
    return statistics.median(values) if values else 0.0


def _init(donors: Sequence[Seen], todo: Shape) -> float:
    """Starting workers and building networks, on every worker at once."""
    rows = [
        ([each.shape.starting, each.shape.starting * each.shape.networks], each.parts["init"])
        for each in donors
    ]
    return _fitted(rows, [todo.starting, todo.starting * todo.networks])


def _by_bytes(known: Sequence[tuple[RunSpec, float]], spec: RunSpec) -> float:
    """A part that has something fixed and something for each byte of the data."""
    rows = [([1.0, needs.data_bytes(one)], seconds) for one, seconds in known]
    return _fitted(rows, [1.0, needs.data_bytes(spec)])


def _tells_rates(run: Seen) -> bool:
    """Whether a run trained, and for longer than a network takes to warm up."""
    return run.spec.emulation is None and run.spec.experiment != PILOT


def _rate(runs: Iterable[Seen], dataset: str, key: Network) -> np.ndarray[Any, Any] | None:
    """Seconds for each row, step and unit of an architecture, on a core that is not crowded."""
    rows = []
    for each in runs:
        if not _tells_rates(each) or each.spec.dataset.name != dataset:
            continue
        for network, work in each.shape.work.items():
            if (network.architecture, network.kind) == (key.architecture, key.kind):
                rows.append(([n * each.shape.crowding for n in work.amounts], work.seconds))
    return _fit(rows, fixed=False)


def _waited(spec: RunSpec, todo: Shape) -> float:
    """Seconds that an emulated run's workers wait for the device, all together."""
    assert spec.emulation is not None
    seconds = 0.0
    for network, work in todo.work.items():
        model, kind = spec.emulation.models[network.architecture], network.kind
        waited = work.rows * getattr(model, f"{kind}_row_seconds")
        waited += work.steps * getattr(model, f"{kind}_batch_seconds")
        if _together(spec.approach) and kind == "train":
            rank = math.ceil(work.rows / work.steps)
            waited = work.steps * model.together_seconds(rank, spec.workers)
        waited += work.units * model.transfer_seconds * (2 if kind == "train" else 1)
        seconds += waited / model.speedup
    return seconds


def _beside(donors: Sequence[Seen], todo: Shape, computed: float) -> float:
    """Worker seconds beside computing: something fixed, for each unit, and for what is computed."""
    rows = [
        ([1.0, each.shape.units * each.shape.crowding, each.computed], each.beside)
        for each in donors
    ]
    return _fitted(rows, [1.0, todo.units * todo.crowding, computed])


def _fitted(rows: Sequence[tuple[Sequence[float], float]], wanted: Sequence[float]) -> float:
    """What rows of amounts and seconds say of other amounts; 0 where all of them took nothing."""
    found = _fit(rows)
    return 0.0 if found is None else float(found @ wanted)


def _fit(
    rows: Sequence[tuple[Sequence[float], float]], *, fixed: bool = True
) -> np.ndarray[Any, Any] | None:
    """Seconds for each amount, none below 0, of the least relative error; rows of 0 s are left out.

    With ``fixed`` the first amount is what does not depend on the run: where rows tell nothing
    else, it is taken for the cause. The others share the time evenly where they grow together
    (:data:`EVENLY`).
    """
    scaled = np.array([np.asarray(amounts) / seconds for amounts, seconds in rows if seconds > 0])
    if not scaled.size:
        return None
    width = np.maximum(scaled.max(axis=0), np.finfo(float).tiny)
    evenly = np.diag([EVENLY * (FIXED if fixed else 1.0), *[EVENLY] * (scaled.shape[1] - 1)])
    equations = np.vstack([scaled / width, evenly])
    right = np.concatenate([np.ones(len(scaled)), np.zeros(len(evenly))])
    found, _ = nnls(equations, right)
    return np.asarray(found / width)
