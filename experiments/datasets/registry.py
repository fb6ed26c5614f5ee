"""Names of data sets and where their rows come from. A new data set is one line here."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from experiments.datasets.blobs import Blobs
from experiments.datasets.criteo import CRITEO_SYNTHETIC
from experiments.datasets.fashion_mnist import FashionMnist
from experiments.datasets.flights import Flights
from experiments.datasets.source import Source
from experiments.errors import SpecError

SOURCES: Mapping[str, Source] = {
    source.info.name: source for source in (FashionMnist(), Flights(), Blobs(), *CRITEO_SYNTHETIC)
}


def find_source(name: str) -> Source:
    """The source of a named data set.

    Raises
    ------
    SpecError
        No data set has this name; the message gives the nearest one.
    """
    try:
        return SOURCES[name]
    except KeyError:
        nearest = get_close_matches(name, SOURCES, n=1, cutoff=0.0)[0]
        raise SpecError(
            f"unknown data set {name!r}; the nearest name is {nearest!r} "
            f"(known: {', '.join(sorted(SOURCES))})"
        ) from None
