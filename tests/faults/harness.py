"""Kills processes of a real run and gives the same command again until it is done.

A :class:`FaultyRun` is one run of one approach, started as a user's command would start it: a
process of its own that carries out :func:`experiments.runner.execute.execute` with real servers. A
:class:`Kill` names a victim and a moment: the n-th event of a kind in the journal, counted over the
whole run, and a delay after it. Victims are found in the process table, so an approach needs
nothing but its roles to be killed here.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from experiments.approaches.base import Trait, find, job, units
from experiments.datasets import one_hot, prepare
from experiments.models import codec
from experiments.models.session import Session
from experiments.mop import invariants
from experiments.mop.visits import visits
from experiments.paths import CHECKOUT, state
from experiments.runner.plan import PlannedRun, RunState, planned
from experiments.search.journaled import drawn
from experiments.specs.load import protocols
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec, derive_seed
from experiments.specs.topology import (
    COORDINATOR,
    SCHEDULER,
    SEGMENT,
    SPARK_MASTER,
    SPARK_WORKER,
    WORKER,
)
from experiments.telemetry.journal import Event, read
from tests.contracts import in_step, whole

COMMAND = """
import json, sys
from experiments.errors import UserError
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.model import RunSpec
try:
    execute(planned(RunSpec.from_json(json.loads(sys.argv[1]))), lambda event: None)
except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
"""

Unit = tuple[int | None, int | None, int | None, str]
"""Model, partition, epoch, and ``train`` or ``valid``."""

RUN_SECONDS = 240.0
STOP_SECONDS = 12.0
LOOK_SECONDS = 0.01
NOTICE_SECONDS = 0.1
"""A unit may still be given to what was killed so long ago."""

CLI, DRIVER = "cli", "driver"
SEGMENT_BACKEND, COORDINATOR_BACKEND = "segment-backend", "coordinator-backend"
SPARK_DRIVER, EXECUTOR, SPARK_TASK = "spark-driver", "spark-executor", "spark-task"
LINGERS = {SPARK_WORKER: 1.0, SPARK_DRIVER: 1.0}
"""Seconds that Spark's executors take to notice that these are gone, and to end."""

VICTIMS_OF_ROLE = {
    SEGMENT: (SEGMENT, SEGMENT_BACKEND),
    COORDINATOR: (COORDINATOR, COORDINATOR_BACKEND),
    SCHEDULER: (SCHEDULER,),
    WORKER: (WORKER,),
    SPARK_MASTER: (SPARK_MASTER, SPARK_DRIVER),
    SPARK_WORKER: (SPARK_WORKER, EXECUTOR, SPARK_TASK),
}

COMMAND_OF = {
    DRIVER: " drive ",
    SCHEDULER: f" role {SCHEDULER} ",
    WORKER: f" role {WORKER} ",
    SPARK_MASTER: "org.apache.spark.deploy.master.Master",
    SPARK_WORKER: "org.apache.spark.deploy.worker.Worker",
    SPARK_DRIVER: "pyspark-shell",
    EXECUTOR: "CoarseGrainedExecutorBackend",
}
"""What a process's command holds, beside a folder of the run."""
"""What can be killed of each role: its own process, and a process that it has started."""

ENDS_THE_COMMAND = (CLI, DRIVER)
"""Victims after which the command has to be given again."""


@dataclass(frozen=True)
class Kill:
    """One SIGKILL.

    Attributes
    ----------
    victim : :data:`CLI`, :data:`DRIVER`, a role, :data:`SEGMENT_BACKEND` or
        :data:`COORDINATOR_BACKEND`; of several processes the one that ``choice`` picks.
    after : kind of the event that is waited for.
    count : which of them, counted from 1 over the whole journal; 0 for the command's start.
    delay : seconds after it is seen.
    """

    victim: str
    after: str
    count: int
    delay: float = 0.0
    choice: int = 0


def victims(approach: str) -> tuple[str, ...]:
    """Everything that can be killed while an approach trains.

    Training outside the database leaves no session open, so there is no backend to be killed.
    """
    roles = find(approach).roles
    everything = (CLI, DRIVER, *(each for role in roles for each in VICTIMS_OF_ROLE[role]))
    absent = (SEGMENT_BACKEND, COORDINATOR_BACKEND) if WORKER in roles else ()
    return tuple(each for each in everything if each not in absent)


def small_spec(approach: str, seed: int, epochs: int = 2) -> RunSpec:
    """Two workers, three small models, units of a tenth of a second.

    Without a framework where the approach lets NumPy train; ranks in step share every batch, and
    take longer over it.
    """
    batch = 32 if Trait.DATA_PARALLEL in find(approach).traits else 1
    return RunSpec(
        experiment="faults",
        approach=approach,
        scale="smoke",
        protocol=protocols()["equal"],
        workers=2,
        seed=seed,
        epochs=epochs,
        policy="random",
        dataset=DatasetSpec("blobs", train_rows=3000, valid_rows=1000),
        configs=tuple(ModelConfig("linear", rate, 1e-4, batch) for rate in (1e-2, 1e-3, 1e-4)),
    )


MARKS = {2: 15, 1: 7}
"""Marks of units after which a kill may come, by units that train an epoch of a model. A run of two
epochs and three models has 12 times as many of each; after the last one here, every approach has
training left that outlasts a kill's delay."""


def random_kills(approach: str, seed: int, count: int) -> tuple[Kill, ...]:
    """Kills at seeded moments of a run of :func:`small_spec`, each victim about equally often.

    One kill in each run ends the command; all others are survived by it. The first falls into the
    start, the ETL or the building of models; the others are spread over the units' marks, with
    delays up to about a unit's length.
    """
    chance = random.Random(f"{approach} {seed}")
    everyone = victims(approach)
    survived = [each for each in everyone if each not in ENDS_THE_COMMAND]
    offset = seed * (count - 1)
    chosen = [ENDS_THE_COMMAND[seed % 2]]
    chosen += [survived[(offset + number) % len(survived)] for number in range(count - 1)]
    chance.shuffle(chosen)
    first, *others = chosen
    kills = [Kill(first, "run_started", seed % 2, chance.uniform(0.0, 1.0), chance.randrange(8))]
    marks = range(1, 1 + MARKS[units(small_spec(approach, seed))])
    for victim, mark in zip(others, sorted(chance.sample(marks, len(others))), strict=True):
        after = chance.choice(["unit_started", "unit_finished"])
        delay = chance.uniform(0.0, 0.15)
        kills.append(Kill(victim, after, mark, delay, chance.randrange(8)))
    return tuple(kills)


@dataclass
class FaultyRun:
    """A run that is killed on its way.

    Attributes
    ----------
    commands : how often the command was given.
    killed : what was killed when (seconds since the epoch).
    failures : whether units were expected to fail by themselves.
    """

    run: PlannedRun
    commands: int = 0
    killed: list[tuple[str, float]] = field(default_factory=list)
    failures: bool = False

    @classmethod
    def of(cls, spec: RunSpec) -> FaultyRun:
        return cls(planned(spec))

    def events(self) -> list[Event]:
        """What the journal holds now."""
        return list(read(self.run.folder.journal))

    def complete(self, kills: Sequence[Kill]) -> None:
        """Give the command until the run has its result, killing on the way.

        A kill whose moment has passed while the command was not running is done as soon as its
        victim is there again.

        Raises
        ------
        AssertionError
            A command failed although nothing that ends it was killed.
        """
        waiting = list(kills)
        while planned(self.run.spec).state is not RunState.DONE:
            ended_by: str | None = None
            with self.command() as process:
                while process.poll() is None and waiting:
                    if self._due(waiting[0], process) and self._strike(waiting[0], process):
                        ended_by = waiting.pop(0).victim
                        if ended_by in ENDS_THE_COMMAND:
                            break
                    time.sleep(LOOK_SECONDS)
                code = process.wait(RUN_SECONDS)
                said = process.stderr.read() if process.stderr else ""
            wanted = {CLI: -signal.SIGKILL, DRIVER: 1}.get(ended_by or "", 0)
            assert code == wanted, f"exit code {code}, {said}\n{self.log()}"
            assert (ended_by == DRIVER) == ("its driver ended with signal SIGKILL" in said), said
            self.nothing_is_left()
        assert not waiting, f"the run ended before {waiting}"

    def interrupted(self, units: int) -> None:
        """Give the command and kill it after so many finished units; nothing is left running."""
        with self.command() as process:
            self.strike(Kill(CLI, "unit_finished", units), process)
            process.wait(RUN_SECONDS)
        self.nothing_is_left()

    def once(self) -> tuple[int, str]:
        """Give the command once: its exit code and what it said on stderr."""
        with self.command() as process:
            said = process.communicate(timeout=RUN_SECONDS)[1]
        self.nothing_is_left()
        return process.returncode, said

    @contextlib.contextmanager
    def command(self) -> Iterator[subprocess.Popen[str]]:
        """The user's command, running; killed at the end of the block if it still does."""
        self.commands += 1
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, json.dumps(self.run.spec.to_json())],
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()

    def gave_up(self) -> None:
        """The command ended by itself, as expected: units that failed or ran may be repeated."""
        self.failures = True
        self.killed.append((DRIVER, time.time()))

    def nothing_is_left(self) -> None:
        """Assert that within a moment no process of this run is alive."""
        deadline = time.monotonic() + STOP_SECONDS
        while left := self.processes():
            assert time.monotonic() < deadline, f"left over: {left}"
            time.sleep(10 * LOOK_SECONDS)

    def wait_for(self, kill: Kill, process: subprocess.Popen[str]) -> None:
        """Wait for a kill's moment; :class:`AssertionError` if the command ends before it."""

        def due() -> bool:
            assert process.poll() is None, f"the command ended before {kill}: {self.log()}"
            return self._due(kill, process)

        wait_until(due, RUN_SECONDS, f"{kill} did not come")

    def strike(self, kill: Kill, process: subprocess.Popen[str]) -> None:
        """Wait for a kill's moment and victim, and kill it.

        Raises
        ------
        AssertionError
            The command ended before that, or it took too long.
        """

        def struck() -> bool:
            assert process.poll() is None, f"the command ended before {kill}: {self.log()}"
            return self._due(kill, process) and self._strike(kill, process)

        wait_until(struck, RUN_SECONDS, f"{kill} did not come")

    def find(self, victim: str, process: subprocess.Popen[str]) -> list[psutil.Process]:
        """Processes of this run that a victim's name stands for, in the order of the nodes."""
        if victim == CLI:
            return [psutil.Process(process.pid)]
        cluster = state().clusters / self.run.name
        if victim in COMMAND_OF:
            home = self.run.folder.root if victim == DRIVER else cluster
            return self._with(lambda line: COMMAND_OF[victim] in line and str(home) in line)
        if victim == SPARK_TASK:
            return self._tasks(cluster)
        role = {SEGMENT_BACKEND: SEGMENT, COORDINATOR_BACKEND: COORDINATOR}.get(victim, victim)
        servers = self._with(lambda line: f"-D {cluster}" in line and line.endswith(f"/{role}"))
        if victim == role:
            return servers
        backends = []
        for server in servers:
            with contextlib.suppress(psutil.Error):
                backends += [
                    child
                    for child in server.children()
                    if " cerebro postgres " in " ".join(child.cmdline())
                ]
        return backends

    def processes(self) -> dict[int, str]:
        """Everything of this run that is alive, with its command and state.

        What names the run, or works in its cluster's folder.
        """
        cluster = state().clusters / self.run.name
        found = {}
        for process in psutil.process_iter(["pid", "cmdline", "cwd", "status"]):
            line = " ".join(process.info["cmdline"] or ())
            here = Path(process.info["cwd"] or "/").is_relative_to(cluster)
            dead = process.info["status"] == psutil.STATUS_ZOMBIE
            named = self.run.name in line and str(state().root) in line
            if process.pid != os.getpid() and not dead and (named or here):
                found[process.pid] = f"{line} ({process.info['status']})"
        return found

    def log(self) -> str:
        """The end of the driver's log, for messages."""
        path = self.run.folder.log
        return path.read_text(errors="replace")[-3000:] if path.exists() else "(no driver's log)"

    def check(self) -> None:
        """What every finished run owes, however often it was killed.

        Raises
        ------
        AssertionError
            It has no result, repeated a unit that was not running at a kill, or left something
            over; or it hops and ended with other weights than its own visit order gives; or it is
            data-parallel or task-parallel and ended with other weights than global batches in
            turn, or the whole data set in one process, give.
        InvariantViolation
            It hops, and one of the hopper's invariants is broken.
        """
        spec, events = self.run.spec, self.events()
        assert self.run.folder.result.exists()
        for unit, start, end in lost_attempts(events, failures=not self.failures):
            assert any(
                start <= when + LINGERS.get(victim, NOTICE_SECONDS) and when <= end
                for victim, when in self.killed
            ), f"{unit} was run again; nothing was killed from {start} to {end}: {self.killed}"
        if Trait.HOPS in find(spec.approach).traits:
            invariants.check_each(events, epochs_of(spec, events), spec.workers)
            self._check_states(replayed(spec, events), 1e-6)
        if Trait.DATA_PARALLEL in find(spec.approach).traits:
            self._check_states(in_step.replayed(spec, trained_of(spec, events)), 1e-5)
        if Trait.TASK_PARALLEL in find(spec.approach).traits:
            self._check_states(whole.replayed(spec, trained_of(spec, events)), 1e-6)
        assert not (state().clusters / self.run.name).exists()
        assert not (state().stores / self.run.name).exists()
        assert not self.processes()

    def _check_states(self, expected: Sequence[bytes], tolerance: float) -> None:
        for model, wanted in enumerate(expected):
            found = (self.run.folder.models / f"{model}.state").read_bytes()
            np.testing.assert_allclose(
                floats(found), floats(wanted), atol=tolerance, rtol=tolerance
            )

    def _with(self, matches: Callable[[str], bool]) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            line = " ".join(process.info["cmdline"] or ())
            if matches(line):
                found.append((line, process))
        return [process for _, process in sorted(found, key=lambda pair: pair[0])]

    def _tasks(self, cluster: Path) -> list[psutil.Process]:
        """Python processes of executors, which their daemons have forked."""
        found = []
        for process in self._with(lambda line: "pyspark.daemon" in line):
            with contextlib.suppress(psutil.Error):
                forked = "pyspark.daemon" in " ".join(process.parent().cmdline())
                if forked and Path(process.cwd()).is_relative_to(cluster):
                    found.append(process)
        return found

    def _due(self, kill: Kill, process: subprocess.Popen[str]) -> bool:
        seen = sum(event.kind == kill.after for event in self.events())
        if seen < kill.count:
            return False
        time.sleep(kill.delay)
        return process.poll() is None

    def _strike(self, kill: Kill, process: subprocess.Popen[str]) -> bool:
        found = self.find(kill.victim, process)
        if not found:
            return False
        victim = found[kill.choice % len(found)]
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGKILL)
            self.killed.append((kill.victim, time.time()))
            return True
        return False


def lost_attempts(
    events: Sequence[Event], *, failures: bool = True
) -> list[tuple[Unit, float, float]]:
    """Starts of units that brought no result: the unit, when it started and when it was given up.

    What was running when the driver died is given up at the driver's next start. ``failures`` says
    whether a unit that failed counts.
    """
    going: dict[Unit, float] = {}
    lost = []
    for event in events:
        if event.kind == "run_started":
            lost += [(unit, start, event.wall) for unit, start in going.items()]
            going.clear()
        elif event.kind.startswith("unit_"):
            unit = (event.model, event.partition, event.epoch, event.detail["kind"])
            if event.kind == "unit_started":
                going[unit] = event.wall
            else:
                start = going.pop(unit)
                if event.kind == "unit_lost" or (event.kind == "unit_failed" and failures):
                    lost.append((unit, start, event.wall))
    return lost


def epochs_of(spec: RunSpec, events: Sequence[Event]) -> list[tuple[int, int]]:
    """The (model, epoch) that a finished run has trained: a grid's all, a search's as evaluated."""
    if spec.search is None:
        return list(itertools.product(range(len(spec.configs)), range(1, spec.epochs + 1)))
    return [(e.model or 0, e.epoch or 0) for e in events if e.kind == "evaluated"]


def trained_of(spec: RunSpec, events: Sequence[Event]) -> list[tuple[ModelConfig, int]]:
    """Every model's config, and how many epochs it was trained for."""
    configs = drawn(events) if spec.search else dict(enumerate(spec.configs))
    epochs = Counter(model for model, _ in epochs_of(spec, events))
    return [(configs[model], epochs[model]) for model in sorted(configs)]


def replayed(spec: RunSpec, events: Sequence[Event]) -> list[bytes]:
    """Every model's state after training in this process in the journal's own visit order."""
    dataset = prepare(spec.dataset, spec.workers, spec.seed)
    parts = [dataset.partition("train", key) for key in range(spec.workers)]
    session = Session(0)
    order = visits(events)
    states = []
    for model, (config, epochs) in enumerate(trained_of(spec, events)):
        work = job(config, dataset)["model"]
        seed = derive_seed(spec.seed, "initial", config.architecture)
        session.load(work, session.initial_state(work, seed))
        visited = [visit for visit in order if visit.model == model]
        assert len(visited) == epochs * spec.workers
        for visit in visited:
            part = parts[visit.partition]
            unit = derive_seed(spec.seed, "unit", model, visit.epoch, visit.partition)
            session.train_start(work, unit)
            session.train_rows(np.array(part.x), one_hot(np.array(part.y), dataset.classes))
            session.train_finish()
        states.append(session.dump())
    return states


def floats(state: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A state's weights and optimizer, end to end."""
    decoded = codec.decode(state)
    return np.concatenate([np.asarray(decoded.weights), np.asarray(decoded.optimizer)])


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait for something; :class:`AssertionError` says ``otherwise`` if it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(LOOK_SECONDS)
