"""What a search is asked to do: its space, its algorithm and how many configurations at once."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from experiments.errors import SpecError

Value = str | float

HYPERPARAMETERS: Mapping[str, type] = {
    "architecture": str,
    "learning_rate": float,
    "regularization": float,
    "batch_size": int,
}
"""What a model config consists of, and the type of each."""

KINDS = ("choice", "integers", "uniform", "loguniform")
"""One of some values; whole numbers of a range, both ends included; floats of a range, with equal
probability or with equal probability of their logarithms."""


@dataclass(frozen=True)
class Axis:
    """One hyperparameter of a space: its values (``choice``) or its two ends (all other kinds)."""

    name: str
    kind: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class SearchSpec:
    """A search over model configs.

    Attributes
    ----------
    algorithm : name in ``experiments.search.registry``.
    trials : configurations that are drawn at most.
    concurrency : configurations under way at once.
    batches : whether grid, random and TPE wait for a whole batch of ``concurrency`` configurations
        before they ask for the next, as the paper did; otherwise each that ends is replaced.
    startup : configurations that TPE draws at random before it models anything.
    reduction : η of ASHA and Hyperband: one of so many goes on.
    least_epochs : r of ASHA and Hyperband: epochs before a configuration may be stopped.
    space : one axis per hyperparameter.
    follows : the run whose sequence of configurations is repeated; None where the search's own
        results decide.
    """

    algorithm: str
    trials: int
    concurrency: int
    batches: bool
    startup: int
    reduction: int
    least_epochs: int
    space: tuple[Axis, ...]
    follows: str | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchSpec:
        """What ``dataclasses.asdict`` makes of it, as JSON gives it back."""
        space = tuple(
            Axis(axis["name"], axis["kind"], tuple(axis["values"])) for axis in data["space"]
        )
        return cls(**{**data, "space": space})

    @classmethod
    def from_table(
        cls,
        where: str,
        settings: Mapping[str, Any],
        space: Mapping[str, Any],
        stand_ins: Mapping[str, str],
    ) -> SearchSpec:
        """Settings and space as written in an experiment's table.

        Parameters
        ----------
        where : names the table in messages.
        stand_ins : architecture to the small member of its family that a scale uses.

        Raises
        ------
        SpecError
            An unknown or missing name, or a value that cannot be meant; names the field.
        """
        names = [field.name for field in fields(cls) if field.name not in {"space", "follows"}]
        for name in settings:
            if name not in names:
                raise _unknown(f"{where}.search", "setting", name, names)
        for name in names:
            if name not in settings:
                raise SpecError(f"{where}.search.{name} is missing")
        for name in ("trials", "concurrency", "startup", "least_epochs"):
            _whole(f"{where}.search.{name}", settings[name], 1)
        _whole(f"{where}.search.reduction", settings["reduction"], 2)
        return cls(**settings, space=_space(f"{where}.space", space, stand_ins))


def _space(where: str, space: Mapping[str, Any], stand_ins: Mapping[str, str]) -> tuple[Axis, ...]:
    if not space:
        raise SpecError(f"{where} is empty: give it {', '.join(HYPERPARAMETERS)}")
    for name in space:
        if name not in HYPERPARAMETERS:
            raise _unknown(where, "hyperparameter", name, HYPERPARAMETERS)
    for name in HYPERPARAMETERS:
        if name not in space:
            raise SpecError(f"{where}.{name} is missing: a choice of one value holds it fixed")
    axes = []
    for name in HYPERPARAMETERS:
        axis = _axis(f"{where}.{name}", name, space[name])
        if name == "architecture":
            small = dict.fromkeys(stand_ins.get(str(value), str(value)) for value in axis.values)
            axis = Axis(name, axis.kind, tuple(small))
        axes.append(axis)
    return tuple(axes)


def _axis(where: str, name: str, written: Any) -> Axis:
    if not isinstance(written, dict) or len(written) != 1:
        raise SpecError(f"{where} = {written!r}: one of {', '.join(KINDS)} and its values")
    ((kind, values),) = written.items()
    if kind not in KINDS:
        raise _unknown(where, "kind", kind, KINDS)
    wanted = HYPERPARAMETERS[name]
    if not isinstance(values, list) or not values:
        raise SpecError(f"{where}.{kind} = {values!r}: a list of values that is not empty")
    fits = {str: _is_text, int: _is_size, float: _is_rate}[wanted]
    for value in values:
        if not fits(value):
            raise SpecError(f"{where}.{kind}: {value!r} is no {name.replace('_', ' ')}")
    if kind != "choice":
        if wanted is str or (wanted is int) != (kind == "integers"):
            raise SpecError(f"{where}.{kind}: {name} cannot be of this kind")
        if len(values) != 2 or not values[0] < values[1]:
            raise SpecError(f"{where}.{kind} = {values!r}: the lowest and the highest value")
        if kind == "loguniform" and values[0] <= 0:
            raise SpecError(f"{where}.{kind}: the lowest value must be more than 0")
    return Axis(name, kind, tuple(float(v) if wanted is float else v for v in values))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_size(value: object) -> bool:
    return type(value) is int and value >= 1


def _is_rate(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= float(str(value)) < float("inf")


def _whole(where: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise SpecError(f"{where} = {value!r}: a whole number, at least {least}")


def _unknown(where: str, kind: str, name: str, known: Collection[str]) -> SpecError:
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return SpecError(f"{where}: unknown {kind} {name!r}: {hint}there are {', '.join(known)}")
