"""The driver: carries out one run in a process of its own, and leaves its journal and result.

``python -m experiments drive RUN_FOLDER`` is the entry point of an experiment's container and of
the local process alike. What it needs lies in the folder: ``run.json`` and ``topology.json``.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from experiments.approaches.base import ApproachContract, RunContext, find, inability
from experiments.datasets import prepare
from experiments.errors import DataError, SpecError
from experiments.files import write_atomically
from experiments.mop.store import ModelStore
from experiments.paths import RunFolder, state
from experiments.runner import pacing
from experiments.specs.model import RunSpec
from experiments.specs.topology import SEGMENT, Topology
from experiments.telemetry.journal import Journal, read


def drive(root: Path) -> None:
    """Run what ``root/run.json`` says, from where its journal ends.

    Raises
    ------
    UserError
        Something the user can mend; finished units are kept.
    """
    folder = RunFolder(root)
    try:
        plan = json.loads(folder.run.read_text(encoding="utf-8"))
        spec = RunSpec.from_json(plan["spec"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder.run} is not a run: {error}") from None
    history = tuple(read(folder.journal))
    topology = Topology.read(folder.topology)
    store = ModelStore(state().stores / plan["run"])
    with Journal(folder.journal, plan["run"]) as journal:
        journal.append(
            "run_started",
            evidence=spec.evidence,
            resumed=bool(history),
            earlier=len(folder.earlier),
        )
        with _stage(journal, "dataset"):
            dataset = prepare(spec.dataset, spec.workers, spec.seed)
            dataset.verify()
        context = RunContext(spec, dataset, topology, journal, store, history)
        approach = _approach(spec)(context)
        try:
            with _stage(journal, "etl"):
                approach.prepare()
            _count(journal, approach, topology, "etl")
            with _stage(journal, "train"):
                approach.train()
            _count(journal, approach, topology, "train")
        except KeyboardInterrupt:
            journal.append("interrupted")
            raise
        finally:
            approach.close()
        _keep_models(store, folder, len(context.configs))
        journal.append("run_finished")
    result = {
        "run": plan["run"],
        "spec": spec.to_json(),
        "fingerprint": plan["fingerprint"],
        "dataset": dataset.fingerprint,
        "classes": dataset.classes,
        "evidence": spec.evidence,
        "seconds": _seconds(folder),
        **pacing.told(spec, read(folder.journal)),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_atomically(folder.result, json.dumps(result, indent=1))


def _approach(spec: RunSpec) -> type[ApproachContract]:
    """The approach of a run.

    Raises
    ------
    SpecError
        It cannot do what the run asks.
    """
    reason = inability(spec.approach, spec.protocol, emulated=spec.emulation is not None)
    if reason is not None:
        raise SpecError(f"{spec.approach}: {reason}")
    return find(spec.approach)


def _count(journal: Journal, approach: ApproachContract, topology: Topology, after: str) -> None:
    """Journal what the database's servers have counted after a stage, if the run has one.

    No result depends on who asks them, so that is found by its name: imported here, the database's
    code would be a part of every approach's fingerprint.
    """
    if SEGMENT in approach.roles:
        asking = importlib.import_module("experiments.approaches.server_counters")
        journal.append("server_counters", after=after, **asking.told(topology))


@contextlib.contextmanager
def _stage(journal: Journal, name: str) -> Iterator[None]:
    """Journal how long a part of the driver's work took, however it ended."""
    start = time.monotonic()
    try:
        yield
    finally:
        journal.append("stage", name=name, seconds=time.monotonic() - start)


def _seconds(folder: RunFolder) -> dict[str, float]:
    """Seconds of every stage, over all starts of the run."""
    total: dict[str, float] = defaultdict(float)
    for event in read(folder.journal):
        if event.kind == "stage":
            total[event.detail["name"]] += event.detail["seconds"]
    return total


def _keep_models(store: ModelStore, folder: RunFolder, models: int) -> None:
    """Copy every model's last state into the run's folder.

    Raises
    ------
    DataError
        The store lacks what the journal says is finished.
    """
    folder.models.mkdir(exist_ok=True)
    finished = _versions(folder)
    for model in range(models):
        wanted = finished.get(model, 0)
        version = max(wanted, store.latest(model) or 0)
        write_atomically(folder.models / f"{model}.state", store.load(model, version))


def _versions(folder: RunFolder) -> dict[int, int]:
    """Version of every model's last finished unit of training."""
    found: dict[int, int] = {}
    for event in read(folder.journal):
        if event.kind == "unit_finished" and event.detail["kind"] == "train":
            found[event.model or 0] = event.detail["version"]
    return found
