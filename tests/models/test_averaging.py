"""The average of states against numpy's, and what cannot be averaged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.models import codec
from experiments.models.averaging import Average


def state(seed: int, step: int = 3, slots: int = 4, layout: str = "aa") -> bytes:
    stream = np.random.default_rng(seed)
    weights = stream.standard_normal(5).astype("<f4")
    return codec.encode([weights], [stream.random(slots).astype("<f4")], step, layout)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 10**6)), min_size=1, max_size=5))
def test_it_is_numpy_s_average_by_rows(parts: list[tuple[int, int]]) -> None:
    mean = Average()
    for seed, rows in parts:
        mean.add(state(seed, step=seed), rows)
    found = codec.decode(mean.state(), "aa")
    rows_of = [rows for _, rows in parts]
    for name in ("weights", "optimizer"):
        stacked = np.stack([getattr(codec.decode(state(seed)), name) for seed, _ in parts])
        expected = np.average(stacked.astype(np.float64), axis=0, weights=rows_of)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-6, atol=1e-7)
    assert found.step == round(np.average([seed for seed, _ in parts], weights=rows_of))


def test_one_state_is_its_own_average() -> None:
    mean = Average()
    mean.add(state(1), 17)
    assert mean.state() == state(1)


def test_states_that_do_not_belong_together_are_refused() -> None:
    mean = Average()
    with pytest.raises(ValueError, match="nothing to average"):
        mean.state()
    mean.add(state(1), 2)
    with pytest.raises(ValueError, match="layout bb"):
        mean.add(state(1, layout="bb"), 2)
    with pytest.raises(ValueError, match="no optimizer"):
        mean.add(state(1, slots=0), 2)
    with pytest.raises(ValueError, match="model state"):
        mean.add(state(1)[:-1], 2)
