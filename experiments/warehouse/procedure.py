"""The loop of ``CALL madlib.fit_multiple(job)``: a whole job of training, on the coordinator.

The job goes round by round: a *round* trains some models for one epoch and evaluates them. Training
goes in batches of at most one unit per segment, each one statement and one transaction: what a
batch did is committed before the next one starts (MADlib's sub-epoch with its barrier).

Two segments have no common commit. So a batch leaves the states it started from where they are, and
the next transaction removes them. Whatever commits or does not, each model's highest version is the
one that its visits led to, and a call after a crash goes on from there.

A job has

``models``               a worker's job per model, each with the ``seed`` of its initial state
``warm``                 a worker's job per network that is to be built before the first round
``workers``, ``seed``    how many segments there are; the run's seed
``rounds``               still to do, in order: {``number``, ``entries``: [[model, epoch], …]}; the
                         models of a round are trained for one epoch each, then evaluated
``averages``             whether a model is trained everywhere and averaged (MA) or hops (UDAF)
``hop_epochs``           epochs in which models hopped before they are averaged
``policy``, ``visits``   which unit is next, for those that hop; ``visits`` is the order to replay
``evaluations``          kinds of evaluation at the end of every ``unit`` and every ``round``
``tables``               names the rows of each kind of unit for the segments' caches
``known``                [kind, model, partition, epoch] that the caller has heard of

The caller hears of everything by notices. Greenplum 6 has no procedures; there the same loop has to
be driven from outside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.errors import DataError, PlanError
from experiments.models.worker import TRAIN, TRAINING_PASS, VALID
from experiments.mop.loop import drive_batches
from experiments.mop.policy import make_policy
from experiments.mop.state import Board, UnitTimes
from experiments.mop.unit import Unit
from experiments.mop.visits import Visit as Stop
from experiments.specs.model import derive_seed
from experiments.warehouse.coordinator import Coordinator
from experiments.warehouse.record import Step, Visit
from experiments.warehouse.unit_tables import TRAIN_VIEW, VALID_VIEW
from experiments.warehouse.units import MERGE

SQLSTATES: Mapping[type[Exception], str] = {PlanError: "CD001", DataError: "CD002"}
"""How errors that the user can mend are told from others."""


class Entry(NamedTuple):
    """A model in a round, and the epoch that it is trained for there."""

    model: int
    epoch: int


_FUNCTIONS: Mapping[str, tuple[str, str | None]] = {
    TRAIN: ("fit", TRAIN_VIEW),
    TRAINING_PASS: ("score", TRAIN_VIEW),
    VALID: ("score", VALID_VIEW),
    MERGE: ("average", None),
}
"""The aggregate that does a kind of step, and the view that has its rows."""


def fit_multiple(text: str) -> None:
    """Carry out a job. What the user can mend has a code of :data:`SQLSTATES`."""
    import plpy

    job = json.loads(text)
    try:
        (_Averaging if job["averages"] else _Hopping)(job, Coordinator(plpy)).run()
    except tuple(SQLSTATES) as error:
        plpy.error(str(error), sqlstate=SQLSTATES[type(error)])


class _Procedure:
    """What hopping and averaging share; they differ in :meth:`train` and :meth:`oldest`."""

    def __init__(self, job: Mapping[str, Any], coordinator: Coordinator) -> None:
        self.job = job
        self.coordinator = coordinator
        self.models: Sequence[Mapping[str, Any]] = job["models"]
        self.workers = int(job["workers"])
        self.record = coordinator.record(len(self.models))
        self._obsolete: dict[int, int] = {}

    def train(self, number: int, entries: Sequence[Entry]) -> None:
        """Train the models of a round for one epoch each, or what is left of it."""
        raise NotImplementedError

    def oldest(self, model: int) -> int:
        """The oldest version of a model that is still wanted."""
        raise NotImplementedError

    def run(self) -> None:
        """The whole job, from where the database says that it stands."""
        self.record.require(Step(*step) for step in self.job["known"])
        known = {Step(*step) for step in self.job["known"]}
        for visit in self.record.visits():
            if visit.step not in known:
                self._tell(visit)
        self._prepare()
        self.coordinator.tell("ready")
        for part in self.job["rounds"]:
            number, entries = part["number"], [Entry(*entry) for entry in part["entries"]]
            self.coordinator.tell("round", number=number)
            self.train(number, entries)
            for kind in self.job["evaluations"]["round"]:
                self._evaluate(kind, entries)
            self.coordinator.tell("round_finished", number=number)
        self.coordinator.discard(self._obsolete)
        self.coordinator.commit()

    def _prepare(self) -> None:
        """Build every network on every segment; give every new model its initial state."""
        self._before_rounds(
            "warm",
            [
                {**job, "mst_key": place, "segment": segment}
                for place, job in enumerate(self.job["warm"])
                for segment in range(self.workers)
            ],
        )
        created = [
            {**job, "mst_key": model, "segment": model % self.workers}
            for model, job in enumerate(self.models)
            if not self.record.versions(model)
        ]
        self._before_rounds("initialize", created)
        for job in created:
            self.record.hold(job["segment"], job["mst_key"], 0)
        self._obsolete = {model: self.oldest(model) for model in range(len(self.models))}

    def _before_rounds(self, function: str, jobs: Sequence[Mapping[str, Any]]) -> None:
        if not jobs:
            return
        reports = self.coordinator.carry_out(function, None, jobs)
        self.coordinator.commit()
        for job, report in zip(jobs, reports, strict=True):
            model = job["mst_key"] if function == "initialize" else None
            self.coordinator.tell(
                "prepared", worker=job["segment"], model=model, spans=report["spans"]
            )

    def _evaluate(self, kind: str, entries: Sequence[Entry]) -> None:
        """Every model on every segment, by one statement."""
        steps = [
            Step(kind, entry.model, segment, entry.epoch)
            for entry in sorted(entries)
            for segment in range(self.workers)
        ]
        versions = {entry.model: self.record.versions(entry.model)[-1] for entry in entries}
        self.batch([step for step in steps if step not in self.record], versions, {})

    def batch(
        self,
        steps: Sequence[Step],
        versions: Mapping[int, int],
        more: Mapping[str, Any],
    ) -> None:
        """Carry out steps of one kind at once, and commit them.

        Parameters
        ----------
        versions : of each model, the version to read; training and merging write the next one.
        more : further fields of their jobs.
        """
        if not steps:
            return
        kind = steps[0].kind
        self.coordinator.tell("started", steps=[list(step) for step in steps])
        self.coordinator.discard(self._obsolete)
        reports = self.coordinator.carry_out(
            *_FUNCTIONS[kind], [{**self._job(step, versions[step.model]), **more} for step in steps]
        )
        self.coordinator.commit()
        self._obsolete = {}
        for step, report in zip(steps, reports, strict=True):
            version = versions[step.model]
            if kind in {TRAIN, MERGE}:
                version += 1
                self.record.hold(step.partition, step.model, version)
            self.record.add(Visit(step, version, report))
        for step in steps:
            self._obsolete[step.model] = self.oldest(step.model)
            self._tell(self.record[step])

    def _job(self, step: Step, version: int) -> dict[str, Any]:
        job = {
            **self.models[step.model],
            "seed": derive_seed(self.job["seed"], "unit", step.model, step.epoch, step.partition),
            "kind": step.kind,
            "segment": step.partition,
            "mst_key": step.model,
            "epoch": step.epoch,
            "version": version,
            "target": version + 1,
        }
        if step.kind != MERGE:
            job["holder"] = self.record.holder(step.model, version)
            job["table"] = self.job["tables"][step.kind]
        if step.kind == TRAIN:
            kinds = self.job["evaluations"]["unit"]
            job["evaluations"] = {kind: self.job["tables"][kind] for kind in kinds}
        return job

    def _tell(self, visit: Visit) -> None:
        self.coordinator.tell(
            "finished", **visit.step._asdict(), version=visit.version, report=visit.report
        )


class _Hopping(_Procedure):
    """UDAF: models hop from segment to segment, batch by batch as a policy has it."""

    def __init__(self, job: Mapping[str, Any], coordinator: Coordinator) -> None:
        super().__init__(job, coordinator)
        order = None if job["visits"] is None else [Stop(*stop) for stop in job["visits"]]
        self._policy = make_policy(job["policy"], job["seed"], order)
        self._seconds: list[list[float]] = [[] for _ in self.models]
        trained = [0] * len(self.models)
        for visit in self.record.visits():
            if visit.step.kind == TRAIN:
                trained[visit.step.model] += 1
                self._seconds[visit.step.model].append(visit.seconds)
        for model, version in enumerate(trained):
            if version or self.record.versions(model):
                self.record.holder(model, version)

    def oldest(self, model: int) -> int:
        return self.record.versions(model)[-1]

    def train(self, number: int, entries: Sequence[Entry]) -> None:
        """The policy sees the models of a round as 0, 1, … and the round as their epoch."""
        count = len(entries)
        times = UnitTimes(count)
        for place, entry in enumerate(entries):
            for seconds in self._seconds[entry.model]:
                times.add(place, seconds)

        def step(unit: Unit) -> Step:
            entry = entries[unit.model]
            return Step(TRAIN, entry.model, unit.partition, entry.epoch)

        order = self._policy.arrange(number, count, self.workers)
        board = Board(
            number,
            count,
            self.workers,
            order,
            finished={unit for unit in order if step(unit) in self.record},
            times=times,
        )

        def carry_out(units: Sequence[Unit]) -> list[float]:
            steps = [step(unit) for unit in units]
            versions = {each.model: self.record.versions(each.model)[-1] for each in steps}
            self.batch(steps, versions, {})
            seconds = [self.record[each].seconds for each in steps]
            for each, took in zip(steps, seconds, strict=True):
                self._seconds[each.model].append(took)
            return seconds

        drive_batches(board, self._policy, carry_out)


class _Averaging(_Procedure):
    """MA: a model is trained on all segments at once, then the average of what they learned is it.

    The average after epoch e is version h + 2e, on one segment, and version h + 2e - 1 is what each
    segment learned in epoch e, on that segment. Without hopping before, h is 0.
    """

    def oldest(self, model: int) -> int:
        hopped = self._average(self.job["hop_epochs"])
        versions = self.record.versions(model)
        return max(v for v in versions if v <= hopped or (v - hopped) % 2 == 0)

    def _average(self, epoch: int) -> int:
        """Version of the average after an epoch; of the last hop before the first."""
        hops = int(self.job["hop_epochs"])
        return hops * self.workers + 2 * (epoch - hops)

    def train(self, number: int, entries: Sequence[Entry]) -> None:
        for model, epoch in entries:
            merge = Step(MERGE, model, model % self.workers, epoch)
            if merge in self.record:
                continue
            steps = [Step(TRAIN, model, segment, epoch) for segment in range(self.workers)]
            missing = [step for step in steps if step not in self.record]
            self.batch(missing, {model: self._average(epoch - 1)}, {})
            parts = [[step.partition, self.record[step].report["rows"]] for step in steps]
            self.batch([merge], {model: self._average(epoch) - 1}, {"parts": parts})
