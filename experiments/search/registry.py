"""Searchers by name."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.errors import DataError, SpecError
from experiments.paths import Artifacts
from experiments.search.halving import AshaSearcher, HyperbandSearcher
from experiments.search.journaled import Search, steps
from experiments.search.listed import GridSearcher, RandomSearcher
from experiments.search.recorded import RecordedSearcher
from experiments.search.searcher import Searcher
from experiments.search.tpe import TpeSearcher
from experiments.specs.load import nearest
from experiments.specs.model import RunSpec
from experiments.telemetry.journal import Journal, read

SEARCHERS: Mapping[str, type[Searcher]] = {
    "grid": GridSearcher,
    "random": RandomSearcher,
    "tpe": TpeSearcher,
    "asha": AshaSearcher,
    "hyperband": HyperbandSearcher,
}


def check(spec: RunSpec) -> None:
    """Raise :class:`SpecError` where a run's search cannot be done, before anything starts."""
    if spec.search is not None:
        _searcher(spec)
        if spec.policy.partition(":")[0] == "replay":
            raise SpecError("policy replay repeats runs of a fixed grid, and this run is a search")


def search_of(spec: RunSpec, journal: Journal) -> Search:
    """The search of a run, as far as its journal says that it has come.

    Raises
    ------
    DataError
        The run whose sequence it repeats is not finished.
    """
    if spec.search is None:
        raise SpecError(f"{spec.experiment} trains a fixed grid and searches nothing")
    if spec.search.follows is None:
        return Search(_searcher(spec), journal)
    leader = Artifacts().run(spec.search.follows)
    if not leader.result.exists():
        raise DataError(
            f"{leader.root}: this search repeats the sequence of that run, which is not finished: "
            "run it first, or choose a protocol whose search_feedback is 'own'"
        )
    recorded = steps(read(leader.journal))
    return Search(RecordedSearcher(spec.search, spec.epochs, spec.seed, recorded), journal)


def _searcher(spec: RunSpec) -> Searcher:
    assert spec.search is not None
    name = spec.search.algorithm
    if name not in SEARCHERS:
        raise nearest("searcher", name, SEARCHERS)
    return SEARCHERS[name](spec.search, spec.epochs, spec.seed)
