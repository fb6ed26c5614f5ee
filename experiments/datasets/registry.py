"""Names of data sets and where their rows come from. A new data set is one line here."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial

from experiments.datasets.blobs import Blobs
from experiments.datasets.criteo import CRITEO_SYNTHETIC
from experiments.datasets.criteo_encoding import CriteoEncoding
from experiments.datasets.criteo_generator import generate
from experiments.datasets.criteo_logs import CriteoLogs
from experiments.datasets.downloaded import Downloaded, Generated
from experiments.datasets.fashion_mnist import FashionMnist
from experiments.datasets.flights import Flights
from experiments.datasets.imagenet import ImageNet
from experiments.datasets.imagenet_generator import Images
from experiments.datasets.source import Source
from experiments.errors import SpecError

IMAGENET = Downloaded("imagenet", ImageNet)
IMAGENET_GENERATED = Generated(
    "imagenet-generated",
    partial(ImageNet, side=32, name="imagenet-generated", sizes=()),
    Images().write,
)

CRITEO = Downloaded("criteo", partial(CriteoLogs, encoding=CriteoEncoding(buckets=50, slots=256)))
CRITEO_GENERATED = Generated(
    "criteo-generated",
    partial(
        CriteoLogs, encoding=CriteoEncoding(buckets=10, slots=16), fraction=0.25, generated=True
    ),
    generate,
)

DOWNLOADED: Mapping[str, Downloaded] = {"imagenet": IMAGENET, "criteo": CRITEO}
"""Data sets whose archives the user brings."""

GENERATED: Mapping[str, Generated] = {
    "imagenet": IMAGENET_GENERATED,
    "criteo": CRITEO_GENERATED,
}
"""What stands in for them, in the same raw format: by the name of the data set."""

SOURCES: Mapping[str, Source] = {
    **{
        source.info.name: source
        for source in (FashionMnist(), Flights(), Blobs(), *CRITEO_SYNTHETIC)
    },
    **{source.name: source for source in GENERATED.values()},
}
"""Data sets that can be had without the user's help."""


def find_source(name: str) -> Source:
    """The source of a named data set.

    Raises
    ------
    SpecError
        No data set has this name; the message gives the nearest one.
    """
    known: Mapping[str, Source] = {**SOURCES, **DOWNLOADED}
    if name not in known:
        raise _unknown(name, known)
    return known[name]


def downloaded(name: str, *, generated: bool) -> Downloaded:
    """A data set that is read from raw archives, or what stands in for it.

    Raises
    ------
    SpecError
        No such data set has this name; the message gives the nearest one.
    """
    if name not in DOWNLOADED:
        raise _unknown(name, DOWNLOADED)
    return GENERATED[name] if generated else DOWNLOADED[name]


def _unknown(name: str, known: Mapping[str, object]) -> SpecError:
    nearest = get_close_matches(name, known, n=1, cutoff=0.0)[0]
    return SpecError(
        f"unknown data set {name!r}; the nearest name is {nearest!r} "
        f"(known: {', '.join(sorted(known))})"
    )
