"""Each searcher against a plain statement of its rule."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest

from experiments.errors import DataError, SpecError
from experiments.search.halving import (
    AshaSearcher,
    Bracket,
    HyperbandSearcher,
    brackets,
    budgets,
)
from experiments.search.listed import GridSearcher, RandomSearcher
from experiments.search.recorded import RecordedSearcher, Step
from experiments.search.registry import SEARCHERS
from experiments.search.searcher import Result, Searcher
from experiments.search.tpe import TpeSearcher
from experiments.specs.model import ModelConfig, derive_seed
from experiments.specs.search import Axis
from tests.search.playing import SPACE, Loss, bowl, play, search_spec

NAMES = ("random", "tpe", "asha", "hyperband")


def make(name: str, seed: int = 1, epochs: int = 9, **changes: object) -> Searcher:
    return SEARCHERS[name](search_spec(name, **changes), epochs, seed)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_and_the_results_decide_everything(name: str) -> None:
    asked = play(make(name), seed=5)
    assert play(make(name), seed=5) == asked
    assert play(make(name, seed=2), seed=5) != asked


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_lies_in_the_space(name: str) -> None:
    for assignment in play(make(name), seed=3):
        config = assignment.config
        assert config.architecture in SPACE[0].values
        assert 1e-5 <= config.learning_rate <= 1e-1
        assert config.regularization in SPACE[2].values
        assert type(config.batch_size) is int
        assert 16 <= config.batch_size <= 256


@pytest.mark.parametrize("name", NAMES)
def test_a_search_goes_on_from_what_was_asked_and_told(name: str) -> None:
    """Cut at every point, and given to a new searcher as a journal has it."""
    whole = make(name)
    told_before = []
    while True:
        told = len(whole.told)
        fresh = whole.ask(3 - len(whole.under_way))
        told_before += [told] * len(fresh)
        if not whole.under_way:
            break
        first = next(iter(whole.under_way.values()))
        whole.tell(Result(first.model, first.stop, bowl(first.config, first.stop)))
    for cut in range(len(whole.asked)):
        again = make(name)
        results = iter(whole.told)
        for assignment, told in zip(whole.asked[:cut], told_before, strict=False):
            while len(again.told) < told:
                again.tell(next(results))
            again.remember(assignment)
        while len(again.told) < told_before[cut]:
            again.tell(next(results))
        assert again.next() == whole.asked[cut]


def test_a_result_that_nobody_asked_for_is_refused() -> None:
    searcher = make("asha")
    with pytest.raises(DataError, match="model 0, which was not asked for"):
        searcher.tell(Result(0, 1, 0.5))


def test_random_draws_by_each_axis_own_distribution() -> None:
    found = [a.config for a in play(make("random", trials=2000, concurrency=2000))]
    rates = sorted(math.log10(config.learning_rate) for config in found)
    assert rates[1000] == pytest.approx(-3, abs=0.15)
    assert rates[500] == pytest.approx(-4, abs=0.15)
    assert sum(config.batch_size for config in found) / 2000 == pytest.approx(136, abs=5)
    assert sum(c.architecture == "probe" for c in found) / 2000 == pytest.approx(0.5, abs=0.04)


def test_grid_is_the_product_of_its_choices() -> None:
    values: tuple[tuple[Any, ...], ...] = (("linear",), (1e-2, 1e-3), (0.0, 1e-4), (16, 32))
    space = tuple(Axis(axis.name, "choice", of) for axis, of in zip(SPACE, values, strict=True))
    searcher = GridSearcher(search_spec("grid", space=space, trials=100), 4, 1)
    asked = play(searcher)
    assert searcher.most == 8
    assert [a.config for a in asked] == [ModelConfig(*p) for p in itertools.product(*values)]
    assert {(a.start, a.stop) for a in asked} == {(0, 4)}


def test_grid_without_an_end_is_refused() -> None:
    with pytest.raises(SpecError, match="learning_rate is loguniform in the space"):
        GridSearcher(search_spec("grid"), 4, 1)


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_a_batch_waits_for_the_one_before(name: str) -> None:
    searcher = make(name, batches=True, trials=5)
    assert [len(searcher.ask(3)), len(searcher.ask(3))] == [3, 0]
    for model in (2, 0):
        searcher.tell(Result(model, 9, 1.0))
        assert searcher.ask(3) == []
    searcher.tell(Result(1, 9, 1.0))
    assert [a.model for a in searcher.ask(3)] == [3, 4]
    assert searcher.ask(1) == []


def test_without_batches_what_ends_is_replaced_at_once() -> None:
    searcher = make("random", trials=5)
    searcher.ask(3)
    searcher.tell(Result(1, 9, 1.0))
    assert [a.model for a in searcher.ask(1)] == [3]


def test_tpe_is_hyperopts_own_on_trials_that_hyperopt_keeps() -> None:
    """The same seeds, with ``Trials`` filled by hyperopt's evaluation and not from a journal."""
    from hyperopt import Trials, hp, tpe
    from hyperopt.base import JOB_STATE_DONE, Domain

    space = {
        "architecture": hp.choice("architecture", ["linear", "probe"]),
        "learning_rate": hp.loguniform("learning_rate", math.log(1e-5), math.log(1e-1)),
        "regularization": hp.choice("regularization", [1e-4, 1e-6]),
        "batch_size": hp.uniformint("batch_size", 16, 256),
    }
    domain = Domain(lambda point: bowl(ModelConfig(**point), 1), space)
    trials, found = Trials(), []
    for model in range(16):
        (trial,) = tpe.suggest(
            [model], domain, trials, derive_seed(1, "tpe", model), n_startup_jobs=4, verbose=False
        )
        point = {name: values[0] for name, values in trial["misc"]["vals"].items()}
        trial["result"] = domain.evaluate(point, None)
        trial["state"] = JOB_STATE_DONE
        trials.insert_trial_doc(trial)
        trials.refresh()
        found.append((float(point["learning_rate"]), int(point["batch_size"])))
    asked = play(make("tpe", trials=16, concurrency=1, epochs=1))
    ours: list[Any] = [(a.config.learning_rate, a.config.batch_size) for a in asked]
    assert ours == [(pytest.approx(rate), size) for rate, size in found]


def test_tpe_comes_closer_to_the_bowl_than_random() -> None:
    """The median distance of the last half from the best learning rate, over seeds."""

    def median(kind: type[Searcher]) -> float:
        found = []
        for seed in range(5):
            asked = play(kind(search_spec("x", trials=40, startup=10), 1, seed))
            found += [bowl(a.config, 1) - 1 for a in asked[20:]]
        return sorted(found)[len(found) // 2]

    assert median(TpeSearcher) < 0.7 * median(RandomSearcher)


def test_tpe_does_not_care_in_which_order_a_batch_ends() -> None:
    settings = {"batches": True, "concurrency": 4, "startup": 2}
    assert play(make("tpe", **settings), seed=1) == play(make("tpe", **settings), seed=2)


def test_tpe_takes_what_diverged_for_worst() -> None:
    def half(otherwise: float) -> Loss:
        return lambda config, epoch: (
            bowl(config, epoch) if config.learning_rate < 1e-3 else otherwise
        )

    assert play(make("tpe", trials=30), half(math.nan)) == play(make("tpe", trials=30), half(1e9))


def test_ashas_rungs_are_powers() -> None:
    assert budgets(1, 3, 9) == (1, 3, 9)
    assert budgets(2, 4, 40) == (2, 8, 32)
    assert budgets(5, 3, 4) == (4,)


@pytest.mark.parametrize("seed", range(20))
def test_asha_follows_algorithm_2(seed: int) -> None:
    """The published pseudo-code, written down plainly, beside the searcher."""
    searcher = AshaSearcher(search_spec("asha", trials=30, concurrency=4), 9, 1)
    rungs: dict[int, dict[int, float]] = {1: {}, 3: {}, 9: {}}
    promoted: set[tuple[int, int]] = set()
    order, drawn = random.Random(seed), 0

    def get_job() -> tuple[int, int] | None:
        nonlocal drawn
        for budget in (3, 1):
            rung = rungs[budget]
            top = sorted(rung, key=lambda model: (rung[model], model))[: len(rung) // 3]
            promotable = [model for model in top if (model, budget) not in promoted]
            if promotable:
                promoted.add((promotable[0], budget))
                return promotable[0], 3 * budget
        if drawn == 30:
            return None
        drawn += 1
        return drawn - 1, 1

    running: list[tuple[int, int]] = []
    while True:
        while len(running) < 4:
            expected = get_job()
            asked = [(a.model, a.stop) for a in searcher.ask(1)]
            assert asked == ([] if expected is None else [expected])
            if expected is None:
                break
            running.append(expected)
        if not running:
            break
        model, budget = running.pop(order.randrange(len(running)))
        loss = rungs[budget][model] = order.random()
        searcher.tell(Result(model, budget, loss))
    assert drawn == 30


def test_asha_never_promotes_what_diverged() -> None:
    asked = play(make("asha"), lambda *_: math.inf)
    assert {a.stop for a in asked} == {1}


def test_hyperbands_brackets_are_the_papers() -> None:
    """Table 1 of Li et al. (2018): R = 81, η = 3."""
    found = brackets(1, 3, 81, 1)[:1] + brackets(1, 3, 81, 143)
    assert found[1:] == (
        Bracket(0, (81, 27, 9, 3, 1), (1, 3, 9, 27, 81)),
        Bracket(81, (34, 11, 3, 1), (3, 9, 27, 81)),
        Bracket(115, (15, 5, 1), (9, 27, 81)),
        Bracket(130, (8, 2), (27, 81)),
        Bracket(138, (5,), (81,)),
    )
    assert found[0] == Bracket(0, (1, 0, 0, 0, 0), (1, 3, 9, 27, 81))


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_hyperband_keeps_the_best_of_each_rung(seed: int | None) -> None:
    searcher = HyperbandSearcher(search_spec("hyperband", trials=17), 9, 1)
    asked = play(searcher, seed=seed)
    assert searcher.brackets == (
        Bracket(0, (9, 3, 1), (1, 3, 9)),
        Bracket(9, (5, 1), (3, 9)),
        Bracket(14, (3,), (9,)),
    )
    for bracket in searcher.brackets:
        members = list(range(bracket.first, bracket.first + bracket.sizes[0]))
        for size, budget in zip(bracket.sizes, bracket.budgets, strict=True):
            members.sort(key=lambda model: bowl(searcher.drawn[model], budget))
            members = members[:size]
            inside = range(bracket.first, bracket.first + bracket.sizes[0])
            found = {a.model for a in asked if a.model in inside and a.stop == budget}
            assert found == set(members)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5))
def test_a_recorded_search_is_repeated_whatever_comes_out(name: str, seed: int) -> None:
    """Other results, in another order: the same assignments in the same order."""
    searcher = make(name, batches=True)
    steps: list[Step] = []
    stream = random.Random(seed)
    while True:
        told = len(searcher.told)
        steps += [Step(a, told) for a in searcher.ask(3 - len(searcher.under_way))]
        if not searcher.under_way:
            break
        ends = stream.choice(list(searcher.under_way.values()))
        searcher.tell(Result(ends.model, ends.stop, stream.random()))
    again = RecordedSearcher(search_spec(name), 9, 1, steps)
    assert play(again, lambda *_: math.nan, seed=seed + 100) == [step.assignment for step in steps]
