"""Names a reader sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class ApproachLabel(Protocol):
    """How figures name an approach; the rows of ``specs/approaches.toml`` are such labels.

    ``paper`` is the name of its row in the paper's figures and tables, or nothing where the paper
    has none.
    """

    @property
    def title(self) -> str: ...

    @property
    def paper(self) -> str | None: ...


DATASETS: Mapping[str, str] = {
    "fashion-mnist": "Fashion-MNIST",
    "imagenet": "ImageNet",
    "criteo": "Criteo",
}


def dataset_title(name: str) -> str:
    """The display name of a data set; its own name where it has no other."""
    return DATASETS.get(name, name)
