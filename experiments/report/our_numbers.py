"""Finished runs as a source of quantities."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from experiments.analysis import durations
from experiments.analysis.runs import Run
from experiments.report import drawn, run_measures
from experiments.report.quantities import (
    RESOURCES,
    Found,
    Point,
    Unavailable,
    Value,
    resources,
)
from experiments.report.run_measures import Measured
from experiments.report.verdict import Outcome
from experiments.specs.claim import LEAST, MOST, Quantity
from experiments.specs.load import approaches, axes, left_out
from experiments.specs.model import RunSpec

_SCALED: Mapping[str, tuple[str, ...]] = {
    "train_valid_scaled": ("train_valid",),
    "data_transmission_scaled": ("data_transmission",),
    "other_scaled": ("model_transmission", "approach_specific"),
}
FASTER, SLOWER = "ctq", "udaf"
"""The asynchronous and the synchronous approach."""
MA = "ma"


class OurNumbers:
    """Quantities of finished runs, of one protocol.

    Parameters
    ----------
    runs : of any experiments, each loaded once.
    scale : theirs.
    stand_ins : by a claim's name, which of our approaches stands for it.
    measured : what is known already, by run and measure; shared between sources of the same runs.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        scale: str,
        stand_ins: Mapping[str, Sequence[str]],
        measured: dict[tuple[str, str], Measured],
    ) -> None:
        self._scale, self._stand_ins, self._measured = scale, stand_ins, measured
        self._runs: dict[tuple[str, str], list[Run]] = {}
        for run in runs:
            if _is_plain(run.spec):
                key = run.spec.experiment, run.spec.approach
                self._runs.setdefault(key, []).append(run)

    def approach(self, quantity: Quantity) -> str:
        """Ours of a quantity's approach: of stand-ins the first that was run, or could be."""
        names = self._stand_ins.get(quantity.approach, (quantity.approach,))
        absent = {each.approach for each in left_out(quantity.experiment, self._scale)}
        ran = [name for name in names if (quantity.experiment, name) in self._runs]
        return next(iter([*ran, *(name for name in names if name not in absent), *names]))

    def value(self, quantity: Quantity) -> Found:
        """A value with a sample for each seed, or why there is none.

        Raises
        ------
        DataError
            A journal does not hold what a finished run's does.
        """
        if quantity.measure in drawn.MEASURES:
            return drawn.value(quantity)
        quantity = replace(quantity, approach=self.approach(quantity))
        make = _DERIVED.get(quantity.measure)
        return make(self, quantity) if make else self._plain(quantity)

    def points(self, quantity: Quantity, axis: str) -> tuple[Point, ...]:
        if quantity.measure in drawn.MEASURES:
            return drawn.WORKERS
        quantity = replace(quantity, approach=self.approach(quantity))
        if axis == "architecture":
            return self._architectures(quantity)
        names = [quantity.approach] if quantity.approach else [FASTER, SLOWER]
        counts = [
            {run.spec.workers for run in self._runs.get((quantity.experiment, name), ())}
            for name in names
        ]
        return tuple(sorted(set.intersection(*counts)))

    def _architectures(self, quantity: Quantity) -> tuple[Point, ...]:
        """In the order of the sizes of their states."""
        sizes: dict[str, int] = {}
        for run in self._runs.get((quantity.experiment, quantity.approach), ())[:1]:
            for event in run.events:
                if event.phase == "model_transmission" and event.model is not None:
                    name = run.configs[event.model].architecture
                    sizes[name] = max(sizes.get(name, 0), event.bytes)
        return tuple(sorted(sizes, key=lambda name: sizes[name]))

    def _of(self, quantity: Quantity) -> list[Run] | Unavailable:
        """The runs of a quantity, one for each seed."""
        found = self._runs.get((quantity.experiment, quantity.approach), [])
        if not found:
            return self._absent(quantity)
        counts = sorted({run.spec.workers for run in found})
        wanted = quantity.workers
        if wanted in {None, MOST, LEAST}:
            wanted = counts[0] if wanted == LEAST else counts[-1]
        own = {run.spec.seed: run for run in found if run.spec.workers == wanted}
        if not own:
            return self._absent(quantity, f" with {wanted} workers")
        return [own[seed] for seed in sorted(own)]

    def _absent(self, quantity: Quantity, how: str = "") -> Unavailable:
        experiment, approach = quantity.experiment, quantity.approach
        title = approaches()[approach].title
        for each in left_out(experiment, self._scale):
            if each.approach == approach:
                reason = f"{title} is left out of {experiment} at {self._scale} scale"
                return Unavailable(f"{reason}: {each.reason}", Outcome.NOT_RUN)
        if experiment not in approaches()[approach].experiments:
            return Unavailable(f"{title} takes no part in {experiment}")
        reason = f"no finished run of {title} in {experiment}{how}"
        return Unavailable(reason, Outcome.NOT_RUN, pending=True)

    def _each(self, quantity: Quantity, of: Callable[[Run], Measured], unit: str) -> Found:
        """A measure of each seed's run."""
        runs = self._of(quantity)
        if isinstance(runs, Unavailable):
            return runs
        return self._value(runs, [self._known(run, quantity.measure, of) for run in runs], unit)

    def _known(self, run: Run, name: str, of: Callable[[Run], Measured]) -> Measured:
        key = run.name, name
        if key not in self._measured:
            self._measured[key] = of(run)
        return self._measured[key]

    def _component(self, run: Run, name: str) -> Measured:
        return self._together(run, name, run_measures.components)

    def _resource(self, run: Run, name: str) -> Measured:
        return self._together(run, name, resources)

    def _together(
        self, run: Run, name: str, find: Callable[[Run], Mapping[str, Measured]]
    ) -> Measured:
        """One of the measures that are found together, once for all of them."""
        if (run.name, name) not in self._measured:
            self._measured |= {(run.name, each): value for each, value in find(run).items()}
        return self._measured[run.name, name]

    def _value(self, runs: Sequence[Run], numbers: Sequence[Measured], unit: str) -> Found:
        samples = []
        for run, number in zip(runs, numbers, strict=True):
            if isinstance(number, Unavailable):
                return number
            if not math.isfinite(number):
                return Unavailable(f"{run.name}: {number} compares with nothing")
            samples.append(float(number))
        kinds = frozenset(run.evidence for run in runs)
        return Value(tuple(samples), unit, kinds, tuple(run.name for run in runs))

    def _plain(self, quantity: Quantity) -> Found:
        if quantity.measure in RESOURCES:
            unit = RESOURCES[quantity.measure]
            return self._each(quantity, lambda run: self._resource(run, quantity.measure), unit)
        if quantity.measure in run_measures.COMPONENTS:
            unit = "" if quantity.measure.endswith("_share") else "s"
            return self._each(quantity, lambda run: self._component(run, quantity.measure), unit)
        measure = run_measures.MEASURES[quantity.measure]
        return self._each(quantity, measure.of, measure.unit)

    def _scaling(self, quantity: Quantity) -> Found:
        """Over the fewest workers; a speed-up times their number."""
        few = self._of(replace(quantity, workers=LEAST))
        many = self._of(quantity)
        for found in (few, many):
            if isinstance(found, Unavailable):
                return found
        assert isinstance(few, list)
        assert isinstance(many, list)
        least, most = few[0].spec.workers, many[0].spec.workers
        if least == most and len(self.points(quantity, "workers")) < 2:
            reason = f"{quantity.experiment} was run with {least} workers only"
            return Unavailable(reason, Outcome.NOT_RUN, pending=True)
        base = self._spent(few, quantity.measure)
        numbers = []
        for run in many:
            spent = self._spent([run], quantity.measure)
            if not base or not spent:
                return Unavailable(f"{run.name} or the run with {least} workers spent no time so")
            over = spent / base if quantity.measure in _SCALED else base * least / spent
            numbers.append(over / most if quantity.measure == "efficiency" else over)
        return self._value([*many], numbers, "")

    def _spent(self, runs: Sequence[Run], measure: str) -> float:
        """Seconds of the epochs, or of all workers in some components; mean over the runs."""
        if measure not in _SCALED:
            return sum(map(durations.execution, runs)) / len(runs)
        total = 0.0
        for run in runs:
            found = [self._component(run, name) for name in _SCALED[measure]]
            total += sum(each for each in found if isinstance(each, float)) * run.spec.workers
        return total / len(runs)

    def _asynchronous(self, quantity: Quantity) -> Found:
        both = [self._of(replace(quantity, approach=name)) for name in (SLOWER, FASTER)]
        for found in both:
            if isinstance(found, Unavailable):
                return found
        slow, fast = ({run.spec.seed: run for run in runs} for runs in both)  # type: ignore[union-attr]
        seeds = sorted({*slow} & {*fast})
        if not seeds:
            return Unavailable("UDAF and CTQ were run with different seeds", Outcome.NOT_RUN, True)
        ups = [durations.training(slow[s]) / durations.training(fast[s]) for s in seeds]
        kinds = frozenset(run.evidence for s in seeds for run in (slow[s], fast[s]))
        names = tuple(run.name for s in seeds for run in (slow[s], fast[s]))
        return Value(tuple(ups), "", kinds, names)

    def _theory(self, quantity: Quantity) -> Found:
        """Proposition 1 with the seconds that this run's own units of training took."""
        runs = self._of(replace(quantity, approach=FASTER))
        if isinstance(runs, Unavailable):
            return runs
        numbers = [drawn.proposition_1(run) for run in runs]
        found = self._value(runs, numbers, "")
        return replace(found, evidence=frozenset()) if isinstance(found, Value) else found

    def _to_ma(self, quantity: Quantity) -> Found:
        """Execution until the error is at most the one that MA ends with, of the same seed."""
        of_ma, runs = self._of(replace(quantity, approach=MA)), self._of(quantity)
        for found in (of_ma, runs):
            if isinstance(found, Unavailable):
                return found
        assert isinstance(of_ma, list)
        assert isinstance(runs, list)
        targets = {run.spec.seed: run_measures.final_error(run) for run in of_ma}
        own = [run for run in runs if run.spec.seed in targets]
        numbers: list[Measured] = []
        for run in own:
            target = targets[run.spec.seed]
            if isinstance(target, Unavailable):
                return target
            numbers.append(run_measures.seconds_to(run, target))
        if not own:
            return Unavailable("MA was run with other seeds", Outcome.NOT_RUN, True)
        return self._value(own, numbers, "s")

    def _copies_written(self, quantity: Quantity) -> Found:
        """What the ETL writes for Spark over as much for every worker as one copy has."""
        single = self._of(replace(quantity, approach="cerebro-spark-native"))
        runs = self._of(quantity)
        for found in (single, runs):
            if isinstance(found, Unavailable):
                return found
        assert isinstance(single, list)
        assert isinstance(runs, list)
        copy = _cast(single[0])
        if not copy:
            return Unavailable(f"the journal of {single[0].name} has no bytes written for Spark")
        return self._value(runs, [_cast(run) / copy / run.spec.workers for run in runs], "")

    def _of_size(self, quantity: Quantity) -> Found:
        runs = self._of(quantity)
        if isinstance(runs, Unavailable):
            return runs
        numbers: list[Measured] = []
        for run in runs:
            found = run_measures.of_size(run, quantity.architecture)
            if isinstance(found, Unavailable):
                return found
            numbers.append(found[quantity.measure])
        return self._value(runs, numbers, "s" if quantity.measure != "size_hop_share" else "")

    def _lines(self, quantity: Quantity) -> Found:
        return Value((float(drawn.lines()[quantity.approach]),), "lines", frozenset({"measured"}))


def _cast(run: Run) -> int:
    part = durations.etl_parts(run).get("cast")
    return part.bytes if part else 0


def _is_plain(spec: RunSpec) -> bool:
    """Whether a run is what a claim means by its experiment and approach.

    Of an experiment that compares schedulers or settings, claims mean the one that comes first.
    """
    own = approaches()[spec.approach]
    first = dict(axes(spec.experiment, spec.scale).settings[0])
    extra = {name: value for name, value in spec.settings.items() if name not in own.settings}
    return extra == first


_Make = Callable[[OurNumbers, Quantity], Found]
_DERIVED: Mapping[str, _Make] = {
    **dict.fromkeys(("speed_up", "efficiency", *_SCALED), OurNumbers._scaling),
    "asynchronous_speed_up": OurNumbers._asynchronous,
    "asynchronous_theory": OurNumbers._theory,
    "time_to_ma_error": OurNumbers._to_ma,
    "copies_written": OurNumbers._copies_written,
    **dict.fromkeys(("size_train_valid", "size_hop", "size_hop_share"), OurNumbers._of_size),
    "lines": OurNumbers._lines,
}
"""Measures that take several runs, or more than one."""
