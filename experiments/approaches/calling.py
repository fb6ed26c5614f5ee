"""What the approaches share that train by one ``CALL``: the job, the journal's other half, states.

The database decides what is done and commits it; the journal is written from what it says. After a
crash the two may differ by what was committed but not heard of, so the first thing a call tells is
that, and it is journaled before anything new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from experiments.approaches import in_database
from experiments.approaches.base import RunContext
from experiments.errors import ReproduceError
from experiments.models.worker import SPLIT_OF, spans_of
from experiments.mop.unit import Unit, UnitResult
from experiments.mop.visits import visits
from experiments.paths import Artifacts
from experiments.specs.model import derive_seed
from experiments.telemetry.journal import Event, Journal, read
from experiments.warehouse import states
from experiments.warehouse.call import Call, Message
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.record import Step
from experiments.warehouse.unit_tables import MODEL_TABLE, make_unit_tables
from experiments.warehouse.units import MERGE, PACKED

Round = Mapping[str, Any]
"""Models that are trained for one epoch each and then evaluated: ``number`` and ``entries``."""


def round_of(number: int, entries: Iterable[tuple[int, int]]) -> Round:
    """A round of the models and epochs given."""
    return {"number": number, "entries": [list(entry) for entry in entries]}


class CallingApproach:
    """Everything of such an approach but ``traits`` and ``train``."""

    roles: tuple[str, ...] = ("segment", "coordinator")

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.cluster = in_database.cluster_of(context.topology)
        self.call: Call | None = None

    def prepare(self) -> None:
        """Load and pack; make the tables of models, schedule and visits."""
        in_database.prepare(self.context, self.cluster)
        in_database.persist(self.cluster, partial(make_unit_tables, self.cluster))

    def close(self) -> None:
        """Cancel the call and close its session."""
        if self.call is not None:
            self.call.close()


def fit_job(
    context: RunContext,
    rounds: Sequence[Round],
    known: Iterable[Step],
    *,
    averages: bool,
    hop_epochs: int = 0,
) -> dict[str, Any]:
    """The job of ``madlib.fit_multiple`` for what is left of a run.

    Parameters
    ----------
    averages : whether these rounds average or hop.
    hop_epochs : epochs in which models hop before they are averaged.
    """
    spec = context.spec
    policy, _, source = spec.policy.partition(":")
    order = visits(read(Artifacts().run(source).journal)) if source else None
    evaluated = "unit" if context.evaluates_units else "round"
    return {
        "models": [
            {
                **context.job(config),
                "seed": derive_seed(spec.seed, "initial", config.architecture),
            }
            for config in context.configs
        ],
        "warm": context.networks(),
        "workers": spec.workers,
        "seed": spec.seed,
        "rounds": list(rounds),
        "averages": averages,
        "hop_epochs": hop_epochs,
        "evaluations": {"unit": [], "round": [], evaluated: context.evaluations},
        "policy": policy,
        "visits": order,
        "tables": {kind: f"{PACKED[kind]} {context.dataset.fingerprint}" for kind in SPLIT_OF},
        "known": [list(step) for step in known],
    }


def known_steps(events: Iterable[Event]) -> set[Step]:
    """What a journal says is finished."""
    known = set()
    for event in events:
        if event.kind not in {"unit_finished", "merged"}:
            continue
        if event.model is None or event.partition is None or event.epoch is None:
            continue
        kind = event.detail["kind"] if event.kind == "unit_finished" else MERGE
        known.add(Step(kind, event.model, event.partition, event.epoch))
    return known


def steps_of(message: Message) -> list[Step]:
    """The steps that a ``started`` message is about."""
    return [Step(*step) for step in message["steps"]]


def step_of(message: Message) -> Step:
    """The step that a ``finished`` message is about."""
    return Step(*(message[name] for name in Step._fields))


def unit_of(step: Step) -> Unit:
    """The hopper's unit of a step."""
    return Unit(step.model, step.partition, step.epoch)


def result_of(message: Message) -> UnitResult:
    """What a ``finished`` message says of a unit of training or evaluation."""
    return UnitResult.from_report(message["report"])


def journal_prepared(journal: Journal, message: Message) -> None:
    """Spans of building models and making initial states."""
    for span in spans_of(dict(message)):
        journal.span(span, worker=message["worker"], model=message["model"])


def journal_finished(journal: Journal, message: Message, started_ns: int | None = None) -> None:
    """A step's spans and the mark of its end; its idle time is the caller's business.

    Parameters
    ----------
    started_ns : when the database began the step, on its coordinator's clock, if that was heard.
    """
    step = step_of(message)
    keys: dict[str, Any] = {
        "worker": step.partition,
        "model": step.model,
        "partition": step.partition,
        "epoch": step.epoch,
    }
    for span in spans_of(message["report"]):
        journal.span(span, **keys)
    if step.kind == MERGE:
        journal.append("merged", **keys, version=message["version"])
        return
    detail = result_of(message).detail()
    if started_ns is not None:
        detail["seconds"] = (int(message["at"]) - started_ns) / 1e9
    journal.append("unit_finished", **keys, kind=step.kind, version=message["version"], **detail)


def journal_started(journal: Journal, step: Step) -> None:
    """The mark of a step's start; merging has none."""
    if step.kind != MERGE:
        journal.append(
            "unit_started",
            worker=step.partition,
            model=step.model,
            partition=step.partition,
            epoch=step.epoch,
            kind=step.kind,
        )


def catch_up(call: Call, journal: Journal, known: set[Step]) -> None:
    """Start a call, and journal what is in the database but not yet in the journal.

    Parameters
    ----------
    known : steps in the journal; gets each new one as it is heard of, since a call that is made
        again meanwhile, because a server went away, would tell of it again.
    """
    call.start()
    while (message := call.receive()) is not None and message["event"] != "ready":
        if message["event"] == "finished":
            known.add(step_of(message))
            journal_started(journal, step_of(message))
            journal_finished(journal, message)
        elif message["event"] == "prepared":
            journal_prepared(journal, message)


def ended_early() -> ReproduceError:
    """The error for a call that is done while its caller still waits for something."""
    return ReproduceError("the call in the database ended before its work was done")


def keep_states(context: RunContext, cluster: Cluster) -> None:
    """Copy every model's last state from its segment to the run's model store.

    A server that dies meanwhile is waited for.
    """
    in_database.persist(cluster, partial(_copy_states, context, cluster))


def _copy_states(context: RunContext, cluster: Cluster) -> None:
    with cluster.session() as session, session.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT mst_key, version, __dist_key__ FROM {MODEL_TABLE} ORDER BY 1, 2"
        )
        last = {model: (version, key) for model, version, key in cursor.fetchall()}
    for model, (version, key) in last.items():
        with cluster.session(cluster.segments[key]) as session:
            context.store.save(model, version, states.fetch(session, model, version))
