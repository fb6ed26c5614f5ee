"""Read the specification files and check them. The TOML files beside this module are the matrix."""

from __future__ import annotations

import difflib
import functools
import itertools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.errors import SpecError
from experiments.paths import SPECS
from experiments.specs import devices
from experiments.specs.emulation import EmulationSpec
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec
from experiments.specs.protocol import Protocol
from experiments.specs.search import HYPERPARAMETERS, SearchSpec

SCALES: Mapping[str, int] = {"smoke": 2, "laptop": 4, "paper": 8}
"""Scales and the number of workers each has unless told otherwise."""

STATE_FRACTIONS: Mapping[str, float] = {"smoke": 0.01, "laptop": 0.1, "paper": 1.0}
"""How much of their true size the states of emulated models have, unless the experiment says it."""


@dataclass(frozen=True)
class LeftOut:
    """An approach that takes part in an experiment, but not at this scale."""

    approach: str
    experiment: str
    scale: str
    reason: str


@dataclass(frozen=True)
class ApproachRow:
    """A row of ``approaches.toml``.

    Attributes
    ----------
    policy : its own default, before the experiment's.
    environment : where its system lives, if that is not the main environment.
    settings : what only this approach can be told.
    at : by scale, other values of them.
    """

    id: str
    title: str
    module: str
    paper: str | None
    colour: str
    experiments: tuple[str, ...]
    policy: str | None
    environment: str | None
    settings: Mapping[str, Any]
    at: Mapping[str, Mapping[str, Any]]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class FigureRow:
    """A row of ``figures.toml``.

    Attributes
    ----------
    learning : whether it shows what models learned, which emulated ones do not.
    """

    id: str
    title: str
    place: str
    experiments: tuple[str, ...]
    learning: bool = False


@dataclass(frozen=True)
class ExperimentRow:
    """A row of ``experiments.toml``; ``table`` is its content as read."""

    id: str
    title: str
    place: str
    table: Mapping[str, Any]

    @property
    def policy(self) -> str:
        """The scheduler of approaches that have none of their own."""
        return str(self.table["policy"])


def nearest(kind: str, name: str, known: Iterable[str]) -> SpecError:
    """The error for an unknown name: says what is near it and what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return SpecError(f"unknown {kind} {name!r}: {hint}there are {', '.join(names)}")


@functools.cache
def _read(name: str) -> Mapping[str, Any]:
    return tomllib.loads((SPECS / f"{name}.toml").read_text(encoding="utf-8"))


def approaches() -> Mapping[str, ApproachRow]:
    """All approaches by id, in the order of the file (the order of every figure)."""
    return {
        key: ApproachRow(
            key,
            row["title"],
            row["module"],
            row.get("paper"),
            row["colour"],
            tuple(row["experiments"]),
            row.get("policy"),
            row.get("environment"),
            row.get("settings", {}),
            row.get("at", {}),
            tuple(LeftOut(key, **each) for each in row.get("left_out", ())),
        )
        for key, row in _read("approaches").items()
    }


def figures() -> Mapping[str, FigureRow]:
    """All figures and tables by id."""
    return {
        key: FigureRow(
            key,
            row["title"],
            row["place"],
            tuple(row["experiments"]),
            row.get("learning", False),
        )
        for key, row in _read("figures").items()
    }


def experiments() -> Mapping[str, ExperimentRow]:
    """All experiments by id."""
    return {
        key: ExperimentRow(key, row["title"], row["place"], row)
        for key, row in _read("experiments").items()
    }


def protocols(approach: str | None = None) -> Mapping[str, Protocol]:
    """All protocols by name, as they are for an approach.

    What is for some approaches only is off where none is named.

    Raises
    ------
    SpecError
        A row is wrong, names an approach that does not exist, or is like none before it.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name, own in _read("protocols").items():
        like = own.get("like")
        if like is not None and like not in rows:
            raise SpecError(
                f"protocols.toml: {name}.like = {like!r}: there is no such row above it"
            )
        rows[name] = {**rows.get(like, {}), **{k: v for k, v in own.items() if k != "like"}}
        for value in own.values():
            for each in value if isinstance(value, list) else ():
                if each not in approaches():
                    raise nearest(f"approach in protocols.toml's {name}", each, approaches())
    return {name: Protocol.from_row(name, row, approach) for name, row in rows.items()}


@dataclass(frozen=True)
class Axes:
    """What the runs of an experiment at a scale differ in, beside the approach.

    Attributes
    ----------
    workers : numbers of workers; one unless the experiment is about them.
    policies : schedulers of approaches that have none of their own; ``None`` is the experiment's.
    protocols : those of each approach, where the experiment is about protocols; otherwise empty.
    settings : what its approaches are told beside their own settings, a run each.
    seeds : how many, from the one asked for upwards.
    """

    workers: tuple[int, ...]
    policies: tuple[str | None, ...]
    protocols: Mapping[str, tuple[str, ...]]
    settings: tuple[Mapping[str, Any], ...]
    seeds: int


def axes(experiment: str, scale: str) -> Axes:
    """What the experiment's table says that its runs at a scale differ in."""
    at_scale = experiments()[experiment].table[scale]
    return Axes(
        workers=tuple(at_scale.get("workers", (SCALES[scale],))),
        policies=tuple(at_scale.get("policies", (None,))),
        protocols={key: tuple(names) for key, names in at_scale.get("protocols", {}).items()},
        settings=tuple(at_scale.get("settings", ({},))),
        seeds=at_scale.get("seeds", 1),
    )


def approaches_of(experiment: str, scale: str | None = None) -> tuple[ApproachRow, ...]:
    """The approaches that take part in an experiment, at a scale or at any; in the file's order."""
    absent = {each.approach for each in left_out(experiment, scale)} if scale else set()
    rows = (row for row in approaches().values() if experiment in row.experiments)
    return tuple(row for row in rows if row.id not in absent)


def left_out(experiment: str, scale: str) -> tuple[LeftOut, ...]:
    """The approaches that take part in an experiment, but not at this scale, and why."""
    every = (each for row in approaches().values() for each in row.left_out)
    return tuple(each for each in every if (each.experiment, each.scale) == (experiment, scale))


def grid(experiment: str, scale: str, *, small: bool = True) -> tuple[ModelConfig, ...]:
    """The model configs of an experiment at a scale.

    The Cartesian product in the grid's order, or that of each of its ``grids`` as often as it has
    ``copies``; then stably sorted by batch size and architecture as in the release.

    Parameters
    ----------
    small : whether architectures are replaced by the scale's small members of the same family.
    """
    table = experiments()[experiment].table
    at_scale = table[scale]
    if "grid" in table:
        grids = [{**table["grid"], **at_scale.get("grid", {})}]
    else:
        grids = at_scale.get("grids", table["grids"])
    stand_ins = at_scale.get("architectures", {}) if small else {}
    configs = [
        ModelConfig(stand_ins.get(architecture, architecture), rate, regularization, batch)
        for each in grids
        for architecture, rate, regularization, batch in itertools.product(
            *(each[name] for name in HYPERPARAMETERS)
        )
        for _ in range(each.get("copies", 1))
    ]
    configs.sort(key=lambda config: config.batch_size)
    configs.sort(key=lambda config: config.architecture)
    return tuple(configs)


def search(
    experiment: str, scale: str, algorithm: str | None = None, *, small: bool = True
) -> SearchSpec | None:
    """The search of an experiment at a scale; None where it trains a fixed grid.

    Parameters
    ----------
    algorithm : instead of the experiment's own.
    small : as in :func:`grid`.

    Raises
    ------
    SpecError
        The experiment's table does not hold together.
    """
    table = experiments()[experiment].table
    if "space" not in table:
        return None
    at_scale = table[scale]
    settings = {**table["search"], **at_scale.get("search", {})}
    if algorithm is not None:
        settings["algorithm"] = algorithm
    space = {**table["space"], **at_scale.get("space", {})}
    stand_ins = at_scale.get("architectures", {}) if small else {}
    return SearchSpec.from_table(f"experiments.toml: {experiment}", settings, space, stand_ins)


def run_spec(
    experiment: str,
    approach: str,
    scale: str,
    *,
    protocol: str = "equal",
    workers: int | None = None,
    seed: int = 2018,
    policy: str | None = None,
    searcher: str | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str | None = None,
    speedup: float | None = None,
    emulated: bool = True,
) -> RunSpec:
    """The run of one approach in one experiment.

    On an emulated device nothing is computed, so it has the paper's own architectures; ``this``
    machine was measured with those that stand in for them.

    Parameters
    ----------
    policy, searcher : instead of the experiment's own; grids have no use for a searcher.
    settings : beside the approach's own.
    device, speedup : instead of the scale's own; a run without a device trains for real.
    emulated : whether it may wait for the scale's device; otherwise it trains for real.

    Raises
    ------
    SpecError
        A name that does not exist, a number of workers outside 1 to 8, a space to be searched that
        does not hold together, or a device that lacks an architecture.
    """
    if experiment not in experiments():
        raise nearest("experiment", experiment, experiments())
    if approach not in approaches():
        raise nearest("approach", approach, approaches())
    if scale not in SCALES:
        raise nearest("scale", scale, SCALES)
    if protocol not in protocols():
        raise nearest("protocol", protocol, protocols())
    count = axes(experiment, scale).workers[0] if workers is None else workers
    if not 1 <= count <= 8:
        raise SpecError(f"--workers {count}: a cluster has 1 to 8 workers")
    table = experiments()[experiment].table
    at_scale = table[scale]
    device = (device or at_scale.get("device")) if emulated else None
    small = device in {None, devices.THIS}
    searched = search(experiment, scale, searcher, small=small)
    configs = grid(experiment, scale, small=small) if searched is None else ()
    dataset = DatasetSpec(**at_scale["dataset"])
    return RunSpec(
        experiment=experiment,
        approach=approach,
        scale=scale,
        protocol=protocols(approach)[protocol],
        workers=count,
        seed=seed,
        epochs=at_scale["epochs"],
        policy=policy or approaches()[approach].policy or experiments()[experiment].policy,
        dataset=dataset,
        configs=configs,
        search=searched,
        settings={
            **approaches()[approach].settings,
            **approaches()[approach].at.get(scale, {}),
            **(settings or {}),
        },
        emulation=_emulation(
            device,
            at_scale.get("speedup", 1.0) if speedup is None else speedup,
            at_scale.get("state_fraction", STATE_FRACTIONS[scale]),
            largest_batches(configs, searched),
            dataset,
            count,
        ),
    )


def largest_batches(configs: Iterable[ModelConfig], search: SearchSpec | None) -> dict[str, int]:
    """Every architecture of a run, and the largest batch it may be trained with."""
    found: dict[str, int] = {}
    for config in configs:
        found[config.architecture] = max(config.batch_size, found.get(config.architecture, 0))
    if search is not None:
        axes = {axis.name: axis.values for axis in search.space}
        most = max(int(size) for size in axes["batch_size"])
        found.update((str(name), most) for name in axes["architecture"])
    return found


def _emulation(
    device: str | None,
    speedup: float,
    state_fraction: float,
    batches: Mapping[str, int],
    dataset: DatasetSpec,
    workers: int,
) -> EmulationSpec | None:
    if device is None:
        return None
    emulated = devices.emulation(
        device, batches, dataset=dataset.name, speedup=speedup, state_fraction=state_fraction
    )
    devices.check_pace(emulated, batches, dataset.train_rows // workers)
    return emulated
