"""What would run and why: the runs behind the figures asked for, and the state of each."""

from __future__ import annotations

import enum
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from experiments.approaches.base import Trait, find, inability
from experiments.datasets import find_source
from experiments.errors import DataError, SpecError
from experiments.mop.policy import POLICIES
from experiments.paths import Artifacts, RunFolder
from experiments.runner import fingerprint, spark
from experiments.runtime import choice
from experiments.search import registry
from experiments.specs import devices
from experiments.specs.load import (
    LeftOut,
    approaches,
    approaches_of,
    axes,
    experiments,
    figures,
    nearest,
    protocols,
    run_spec,
)
from experiments.specs.model import RunSpec
from experiments.telemetry.journal import read


class RunState(enum.Enum):
    """How far a run is."""

    DONE = "done"
    PARTIAL = "partial"
    MISSING = "missing"


@dataclass(frozen=True)
class PlannedRun:
    """A run and its state.

    Attributes
    ----------
    reason : why it would run, or why it need not.
    seconds : duration of the finished run, None otherwise.
    fresh : what an earlier run of the same name left is to be forgotten first.
    runtime : what carries it out.
    """

    name: str
    spec: RunSpec
    parts: dict[str, str] = field(repr=False)
    state: RunState
    reason: str
    seconds: float | None = None
    fresh: bool = False
    runtime: str = choice.LOCAL

    @property
    def folder(self) -> RunFolder:
        return Artifacts().run(self.name)


def experiments_for(figure_ids: Iterable[str]) -> list[str]:
    """The experiments behind some figures, each once, in order.

    Raises
    ------
    SpecError
        An unknown figure; the message names the nearest.
    """
    known = figures()
    found: list[str] = []
    for name in figure_ids:
        if name not in known:
            raise nearest("figure", name, known)
        found.extend(each for each in known[name].experiments if each not in found)
    return found


def plan(
    experiment_ids: Sequence[str],
    scale: str,
    *,
    protocol: str = "equal",
    workers: int | None = None,
    seed: int = 2018,
    policy: str | None = None,
    searcher: str | None = None,
    device: str | None = None,
    speedup: float | None = None,
    repeat: int = 1,
    fresh: bool = False,
    spark_master: str = "",
    runtime: str = choice.LOCAL,
) -> list[PlannedRun]:
    """All runs of some experiments, in the order in which they would be carried out.

    Parameters
    ----------
    device, speedup : emulate, and how much faster than the device.
    repeat : every run with so many seeds, from ``seed`` upwards, or with as many as the experiment
        has if those are more.
    fresh : whatever lies in ``artifacts/`` of these runs is to be done again.
    spark_master : address of the Spark cluster to use; by default each run on Spark has its own.
    runtime : that carries them out.
    """
    runs = []
    for experiment in experiment_ids:
        if experiment not in experiments():
            raise nearest("experiment", experiment, experiments())
        leaders: dict[tuple[int, int], str] = {}
        for point in _points(experiment, scale, protocol, workers, policy, repeat):
            count, number = point.workers, point.number
            spec = run_spec(
                experiment,
                point.approach,
                scale,
                protocol=point.protocol,
                workers=count,
                seed=seed + number,
                policy=point.policy,
                searcher=searcher,
                settings=point.settings,
                device=device,
                speedup=speedup,
            )
            if inability(spec.approach, spec.protocol, emulated=spec.emulation is not None):
                continue
            _check(spec)
            if spark_master and spark.is_on(point.approach):
                spec = replace(spec, spark_master=spark_master)
            leader = leaders.get((count, number))
            runs.append(planned(_following(spec, leader), fresh=fresh, runtime=runtime))
            leaders.setdefault((count, number), runs[-1].name)
    if experiment_ids and not runs:
        raise SpecError(f"no approach takes part in {', '.join(experiment_ids)}")
    if runs and speedup is not None and all(run.spec.emulation is None for run in runs):
        raise SpecError(
            f"--speedup {speedup:g}: only emulated runs wait for a clock; name a device with "
            f"--device ({', '.join(devices.names())}), or leave it out"
        )
    return runs


class _Point(NamedTuple):
    """What the runs of an experiment differ in; ``number`` is that of the seed."""

    approach: str
    workers: int
    protocol: str
    policy: str | None
    settings: Mapping[str, Any]
    number: int


def _points(
    experiment: str,
    scale: str,
    protocol: str,
    workers: int | None,
    policy: str | None,
    repeat: int,
) -> Iterator[_Point]:
    """All runs of an experiment. One that is about protocols has its own."""
    differ = axes(experiment, scale)
    for row in approaches_of(experiment, scale):
        every = itertools.product(
            [row.id],
            differ.workers if workers is None else [workers],
            differ.protocols.get(row.id, [protocol]),
            differ.policies if policy is None and row.policy is None else [policy],
            differ.settings,
            range(max(repeat, differ.seeds)),
        )
        yield from itertools.starmap(_Point, every)


def is_package(approach: str) -> bool:
    """Whether an approach is a published system as it is, which no device can be emulated for."""
    return Trait.PACKAGE in find(approach).traits


def unable(experiment: str, scale: str, protocol: str, device: str | None) -> list[LeftOut]:
    """The approaches of an experiment that its runs do without."""
    emulated = bool(device or experiments()[experiment].table[scale].get("device"))
    reasons = {
        row.id: inability(row.id, protocols(row.id)[protocol], emulated=emulated)
        for row in approaches_of(experiment, scale)
    }
    return [LeftOut(key, experiment, scale, reason) for key, reason in reasons.items() if reason]


def _following(spec: RunSpec, leader: str | None) -> RunSpec:
    """The spec of a search that repeats what the leader's asks; the first approach leads."""
    if spec.search is None or spec.protocol.search_feedback == "own":
        return spec
    return replace(spec, search=replace(spec.search, follows=leader))


def planned(spec: RunSpec, *, fresh: bool = False, runtime: str = choice.LOCAL) -> PlannedRun:
    """A run and how far it is, from what lies in ``artifacts/``."""
    parts = fingerprint.parts(spec, runtime)
    identity = f"{spec.experiment}-{spec.approach}-{spec.scale}-w{spec.workers}-s{spec.seed}"
    of_experiment = experiments().get(spec.experiment)
    own = approaches()[spec.approach].policy or (of_experiment and of_experiment.policy)
    if own and spec.policy != own:
        identity = f"{identity}-{spec.policy.partition(':')[0]}"
    for setting, value in spec.settings.items():
        if setting not in approaches()[spec.approach].settings:
            identity = f"{identity}-{setting.replace('_', '-')}-{value}"
    if spec.protocol.name != "equal":
        identity = f"{identity}-{spec.protocol}"
    if spec.emulation is not None:
        identity = f"{identity}-{spec.emulation.device}-x{spec.emulation.speedup:g}"
    if runtime != choice.LOCAL:
        identity = f"{identity}-{runtime}"
    name = f"{identity}-{fingerprint.short(parts)}"
    folder = Artifacts().run(name)
    if fresh:
        reason = "--fresh: is done again" if folder.root.exists() else "has not been run"
        state = RunState.MISSING
        return PlannedRun(name, spec, parts, state, reason, fresh=True, runtime=runtime)
    if folder.result.exists():
        seconds = sum(_part(folder.result, "seconds").values())
        reason = "same fingerprint: reused"
        return PlannedRun(name, spec, parts, RunState.DONE, reason, seconds, runtime=runtime)
    if folder.run.exists():
        state, reason = RunState.PARTIAL, _how_far(folder, spec)
    else:
        state, reason = RunState.MISSING, _why(identity, name, parts)
    return PlannedRun(name, spec, parts, state, reason, runtime=runtime)


def _how_far(folder: RunFolder, spec: RunSpec) -> str:
    try:
        done = sum(event.kind == "unit_finished" for event in read(folder.journal))
    except DataError as error:
        return f"cannot go on: {error}; --fresh starts over"
    if is_package(spec.approach):
        return f"was interrupted after {done} units: begins again, since the package cannot go on"
    return f"was interrupted after {done} units: goes on"


def _check(spec: RunSpec) -> None:
    """Names in a spec that only lower rooms know, before anything starts."""
    find_source(spec.dataset.name)
    registry.check(spec)
    name, _, source = spec.policy.partition(":")
    if name not in POLICIES:
        raise nearest("policy", name, POLICIES)
    if (name == "replay") != bool(source):
        raise SpecError(f"policy {spec.policy!r}: only replay takes a run, as replay:RUN")
    if source and not Artifacts().run(source).result.exists():
        raise SpecError(f"policy {spec.policy!r}: there is no finished run {source}")


def _why(identity: str, name: str, parts: dict[str, str]) -> str:
    earlier = [
        RunFolder(folder)
        for folder in Artifacts().runs.glob(f"{identity}-????????")
        if folder.name != name and RunFolder(folder).result.exists()
    ]
    if not earlier:
        return "has not been run"
    latest = max(earlier, key=lambda folder: folder.result.stat().st_mtime)
    try:
        old = _part(latest.run, "fingerprint")
    except DataError as error:
        return f"has not been run; an earlier one cannot be compared ({error})"
    return f"changed since the last run: {', '.join(fingerprint.changed(old, parts))}"


def _part(path: Path, key: str) -> dict[str, Any]:
    """One mapping of a run's JSON file."""
    try:
        part = json.loads(path.read_text(encoding="utf-8"))[key]
        return dict(part)
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged: --fresh does this run again") from None
