"""What is counted adds up over partitions, and the area under the curve is the one of all pairs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.models.measures import Counts, add_ranks, bins, roc_area

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int16]


def counted(logits: Floats, y: Labels) -> Counts:
    counts = Counts()
    counts.add(logits, y)
    return counts


def one_hot(labels: npt.NDArray[np.int64], classes: int) -> Labels:
    return np.eye(classes, dtype=np.int16)[labels]


def area_of_pairs(scores: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Mann and Whitney's U over the number of pairs, pair by pair."""
    above = [
        1.0 if positive > negative else 0.5 if positive == negative else 0.0
        for positive in scores[labels == 1]
        for negative in scores[labels == 0]
    ]
    return sum(above) / len(above)


@given(st.integers(0, 10_000), st.integers(2, 60), st.sampled_from([2, 3, 10]))
def test_parts_add_up_to_the_whole(seed: int, rows: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (rows, classes)).astype(np.float32)
    y = one_hot(generator.integers(0, classes, rows), classes)
    whole = counted(logits, y)
    parts = [counted(logits[:1], y[:1]), counted(logits[1:], y[1:])]
    assert sum(part.rows for part in parts) == whole.rows
    assert sum(part.top1_correct for part in parts) == whole.top1_correct
    assert sum(part.top5_correct for part in parts) == whole.top5_correct
    assert sum(part.loss_sum for part in parts) == pytest.approx(whole.loss_sum)
    assert add_ranks(part.ranks for part in parts) == whole.ranks
    assert bool(whole.ranks) == (classes == 2)


@given(st.integers(0, 10_000), st.integers(10, 80), st.sampled_from([0.01, 1.0, 30.0]))
def test_the_area_is_that_of_all_pairs_of_binned_scores(
    seed: int, rows: int, spread: float
) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, rows)
    labels[:2] = 0, 1
    logits = np.zeros((rows, 2), np.float32)
    logits[:, 1] = generator.normal(0, spread, rows) + labels * spread
    binned = bins(logits[:, 1].astype(float)).astype(np.float32)
    ranks = counted(logits, one_hot(labels, 2)).ranks
    assert roc_area(ranks) == pytest.approx(area_of_pairs(binned, labels))


@pytest.mark.parametrize("middle", [0.0, -1.0])
@pytest.mark.parametrize("spread", [0.005, 0.1, 1.0, 60.0, 3000.0])
def test_bins_are_fine_enough(middle: float, spread: float) -> None:
    """For a model that has hardly learned, and for one that is sure of itself."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 2000)
    logits = np.zeros((2000, 2), np.float32)
    logits[:, 1] = middle + generator.normal(0, spread, 2000) + labels * spread
    found = roc_area(counted(logits, one_hot(labels, 2)).ranks)
    assert found == pytest.approx(area_of_pairs(logits[:, 1], labels), abs=0.02)


def test_bins_keep_the_order_of_scores() -> None:
    scores = np.array([-np.inf, -1e5, -3.0, -1e-4, 0.0, 1e-4, 3.0, 3.1, 1e5, np.inf])
    found = bins(scores)
    assert (np.diff(found) >= 0).all()
    assert (found == -bins(-scores)).all()


def test_of_equal_logits_the_first_is_the_answer() -> None:
    counts = counted(np.zeros((10, 10), np.float32), one_hot(np.arange(10), 10))
    assert (counts.top1_correct, counts.top5_correct) == (1, 5)


def test_one_class_has_no_curve() -> None:
    ranks = counted(np.zeros((3, 2), np.float32), one_hot(np.zeros(3, np.int64), 2)).ranks
    assert math.isnan(roc_area(ranks))


def test_a_model_that_diverged_has_no_hits_and_no_curve() -> None:
    logits = np.full((4, 2), np.nan, np.float32)
    counts = counted(logits, one_hot(np.array([0, 1, 0, 1]), 2))
    assert (counts.top1_correct, counts.top5_correct) == (0, 0)
    assert math.isnan(counts.loss_sum)
    assert counts.ranks == {}
