"""Searchers that stop early: ASHA and Hyperband. What is stopped keeps its state and may go on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.search import space
from experiments.search.searcher import Assignment, Result, Searcher, ranked
from experiments.specs.model import ModelConfig, derive_seed
from experiments.specs.search import SearchSpec


class _Halving(Searcher):
    """Losses by model and budget, which both algorithms decide by."""

    def __init__(self, spec: SearchSpec, epochs: int, seed: int) -> None:
        super().__init__(spec, epochs, seed)
        self.losses: dict[int, dict[int, float]] = {}
        """Per budget, in epochs, the loss of each model that was assigned it and has ended."""
        self.assigned: set[tuple[int, int]] = set()
        """Each (model, budget) that was asked for."""

    def remember(self, assignment: Assignment) -> None:
        super().remember(assignment)
        self.assigned.add((assignment.model, assignment.stop))

    def tell(self, result: Result) -> None:
        stop = self.under_way[result.model].stop if result.model in self.under_way else 0
        super().tell(result)
        self.losses.setdefault(stop, {})[result.model] = result.loss

    def new(self, stop: int) -> Assignment:
        """A configuration at random with a first budget."""
        model = len(self.drawn)
        return Assignment(model, self._point(model), 0, stop)

    def more(self, model: int, start: int, stop: int) -> Assignment:
        """The next budget of a configuration."""
        return Assignment(model, self.drawn[model], start, stop)

    def _point(self, model: int) -> ModelConfig:
        return space.draw(self.spec.space, random.Random(derive_seed(self.seed, "trial", model)))


class AshaSearcher(_Halving):
    """Asynchronous Successive Halving (Li et al., MLSys 2020, Algorithm 2).

    Rung k is a budget of r·η^k epochs. Whoever asks gets the best configuration among the best
    1/η of the highest rung that has one to promote, or else a new one at the lowest rung; nobody
    waits for a rung to fill.
    """

    def __init__(self, spec: SearchSpec, epochs: int, seed: int) -> None:
        super().__init__(spec, epochs, seed)
        self.budgets = budgets(spec.least_epochs, spec.reduction, epochs)

    def next(self) -> Assignment | None:
        for budget, higher in reversed(list(zip(self.budgets, self.budgets[1:], strict=False))):
            there = self.losses.get(budget, {})
            for model in ranked(there, len(there) // self.spec.reduction):
                if (model, higher) not in self.assigned:
                    return self.more(model, budget, higher)
        return self.new(self.budgets[0]) if len(self.drawn) < self.most else None


class HyperbandSearcher(_Halving):
    """Hyperband (Li et al., JMLR 18(185), 2018, Algorithm 1).

    Brackets of Successive Halving, from many configurations with small budgets to few with the
    whole one. They are repeated, and the last is cut, until ``trials`` configurations are drawn.
    Within a bracket a rung waits for the one below; a slot that is free meanwhile takes up the next
    bracket, whose configurations do not depend on this one's.
    """

    def __init__(self, spec: SearchSpec, epochs: int, seed: int) -> None:
        super().__init__(spec, epochs, seed)
        self.brackets = brackets(spec.least_epochs, spec.reduction, epochs, spec.trials)

    def next(self) -> Assignment | None:
        for bracket in self.brackets:
            assignment = self._of(bracket)
            if assignment is not None:
                return assignment
        return None

    def _of(self, bracket: Bracket) -> Assignment | None:
        models = range(bracket.first, bracket.first + bracket.sizes[0])
        if len(self.drawn) < models.stop:
            return self.new(bracket.budgets[0]) if len(self.drawn) >= models.start else None
        members: Sequence[int] = models
        for rung, budget in enumerate(bracket.budgets[:-1]):
            there = self.losses.get(budget, {})
            if any(model not in there for model in members):
                return None
            higher = bracket.budgets[rung + 1]
            losses = {model: there[model] for model in members}
            members = ranked(losses, bracket.sizes[rung + 1])
            for model in members:
                if (model, higher) not in self.assigned:
                    return self.more(model, budget, higher)
        return None


@dataclass(frozen=True)
class Bracket:
    """One run of Successive Halving: per rung, its number of configurations and its budget."""

    first: int
    sizes: tuple[int, ...]
    budgets: tuple[int, ...]


def budgets(least: int, reduction: int, most: int) -> tuple[int, ...]:
    """ASHA's rungs: r, r·η, r·η², … epochs, up to R."""
    found = [min(least, most)]
    while found[-1] * reduction <= most:
        found.append(found[-1] * reduction)
    return tuple(found)


def brackets(least: int, reduction: int, most: int, trials: int) -> tuple[Bracket, ...]:
    """Hyperband's brackets, repeated until they hold ``trials`` configurations.

    Bracket s starts n = ⌈(s_max + 1) η^s / (s + 1)⌉ configurations with R·η^-s epochs; budgets that
    are no whole number are rounded down.
    """
    halvings = len(budgets(least, reduction, most)) - 1
    found: list[Bracket] = []
    first = 0
    while first < trials:
        for s in range(halvings, -1, -1):
            start = min(-(-(halvings + 1) * reduction**s // (s + 1)), trials - first)
            sizes = tuple(start // reduction**rung for rung in range(s + 1))
            rungs = tuple(max(1, most // reduction ** (s - rung)) for rung in range(s + 1))
            if start:
                found.append(Bracket(first, sizes, rungs))
            first += start
    return tuple(found)
