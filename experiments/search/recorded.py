"""The sequence of another run's search, repeated: what makes approaches comparable.

If each approach were searched by its own results, small differences between them (the order in
which a model meets its partitions, say) would give each other configurations, with other batch
sizes and so other run times. In the paper that is most of CTQ's 91 hours (Figure 12, Table 7).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from experiments.search.searcher import Assignment, Searcher
from experiments.specs.search import SearchSpec


class Step(NamedTuple):
    """One assignment of the recorded search, and how many results were known when it was asked."""

    assignment: Assignment
    told: int


class RecordedSearcher(Searcher):
    """Asks what was asked there, in the same order, each once as many results are known as there.

    So batches stay batches, and a promotion comes no earlier than it could be decided there.
    """

    def __init__(self, spec: SearchSpec, epochs: int, seed: int, steps: Iterable[Step]) -> None:
        super().__init__(spec, epochs, seed)
        self._steps = tuple(steps)

    def next(self) -> Assignment | None:
        if len(self.asked) == len(self._steps):
            return None
        assignment, told = self._steps[len(self.asked)]
        if len(self.told) < told or assignment.model in self.under_way:
            return None
        return assignment
