"""Click logs: the lines that are made, how lines are encoded, and that clicks can be learnt."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.datasets import SPLITS, find_source
from experiments.datasets.criteo import CRITEO_SYNTHETIC, CriteoSynthetic
from experiments.datasets.criteo_encoding import CriteoEncoding
from experiments.datasets.criteo_lines import THRESHOLD, UNIT, CriteoLines
from experiments.datasets.delimited import Origin
from experiments.datasets.slots import NOTHING
from experiments.errors import DataError
from tests.datasets.reference import criteo_reference

ORIGIN = Origin("day_1", 1, "fetch it again")
SIZES = [(10, 16), (20, 32), (50, 256)]
LINE = re.compile(r"[01](\t(-[12]|[0-9]+)?){13}(\t([0-9a-f]{8})?){26}")


def made(count: int, split: str = "train", seed: int = 0) -> list[str]:
    lines = CriteoLines("train" if split == "train" else "valid", seed)
    return lines.lines(np.arange(count)).decode().splitlines()


def auc(score: NDArray[np.float64], clicked: NDArray[np.bool_]) -> float:
    """Area under the ROC curve (Mann and Whitney's U)."""
    ranks = np.empty(len(score))
    ranks[np.argsort(score, kind="stable")] = np.arange(len(score))
    clicks, others = clicked.sum(), (~clicked).sum()
    return float((ranks[clicked].sum() - clicks * (clicks - 1) / 2) / (clicks * others))


def test_names_and_widths() -> None:
    for (buckets, slots), columns in zip(SIZES, (546, 1092, 7306), strict=True):
        source = find_source(f"criteo-synthetic-{columns}")
        assert source.info.input_shape == (columns,) == (13 * buckets + 26 * slots,)
        assert [source.rows(split) for split in SPLITS] == [13_000_000, 1_450_000]


def test_lines_have_the_format_of_the_logs() -> None:
    lines = made(3000)
    assert len(lines) == 3000
    assert all(LINE.fullmatch(line) for line in lines)
    fields = [line.split("\t") for line in lines]
    columns = list(zip(*fields, strict=True))
    assert {"-1", "-2", ""} <= {text for column in columns[1:14] for text in column}
    assert any("" in column for column in columns[14:])
    assert max(int(text or 0) for text in columns[5]) > 100_000
    vocabularies = [len(set(column) - {""}) for column in columns[14:]]
    assert min(vocabularies) == 3
    assert max(vocabularies) > 1000


@pytest.mark.parametrize(
    ("split", "digest"),
    [
        ("train", "83325223503ad5f953351b2156b0f1c95580903e2de86d86c8e06bb78243f671"),
        ("valid", "8ad3fafae5f53a4c3dfd3b3430e25d33dd5e6eba1d63f2780134f9a8edb7d3bc"),
    ],
)
def test_every_machine_makes_the_same_lines(split: str, digest: str) -> None:
    lines = CriteoLines("train" if split == "train" else "valid", 0)
    text = lines.lines(np.arange(500) * 25_999)
    assert hashlib.sha256(text).hexdigest() == digest


def test_a_line_is_its_rows_alone() -> None:
    alone = [CriteoLines("train", 0).lines(np.array([row])).decode() for row in range(20)]
    assert "".join(alone).splitlines() == made(20)
    assert len({*made(20), *made(20, "valid"), *made(20, seed=1)}) == 60


def test_a_quarter_clicks_and_no_model_is_better_than_the_score() -> None:
    rows = np.arange(100_000)
    lines = CriteoLines("valid", 0)
    noise, counts, ranks = lines._draw(rows)
    score = lines._score(counts, ranks)
    clicked = score * UNIT + noise >= THRESHOLD
    assert clicked.mean() == pytest.approx(0.25, abs=0.01)
    assert auc(score.astype(np.float64), clicked) == pytest.approx(0.83, abs=0.01)


@pytest.mark.parametrize("buckets", [10, 20, 50])
def test_no_bound_is_near_an_integer(buckets: int) -> None:
    bounds = np.array([1.5 ** (50 / buckets * j) - 0.51 for j in range(buckets)])
    assert (np.abs(bounds - np.rint(bounds)) > 1e-4).all()
    encoding = CriteoEncoding(buckets, 16)
    assert (encoding.least >= bounds).all()
    assert (encoding.least - 1 < bounds).all()


@pytest.mark.parametrize(("buckets", "slots"), SIZES)
def test_made_lines_are_encoded_as_by_hand(buckets: int, slots: int) -> None:
    lines = made(200)
    block = CriteoLines("train", 0).lines(np.arange(200))
    active, labels = CriteoEncoding(buckets, slots).encode(block, ORIGIN)
    for line, row, label in zip(lines, active, labels, strict=True):
        assert (row[row != NOTHING].tolist(), label) == criteo_reference(line, buckets, slots)


COUNTS = st.just("") | (st.integers(-3, 2**40) | st.integers(1 - 10**18, 10**18 - 1)).map(str)
NAMES = st.text("0123456789abcdef", max_size=8) | st.text(
    st.characters(codec="ascii", exclude_characters="\0\t\n"), max_size=8
).filter(lambda name: name not in {"nan", "NaN"})


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["0", "1"]),
            st.lists(COUNTS, min_size=13, max_size=13),
            st.lists(NAMES, min_size=26, max_size=26),
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(SIZES),
)
def test_any_line_is_encoded_as_by_hand(
    rows: list[tuple[str, list[str], list[str]]], size: tuple[int, int]
) -> None:
    lines = ["\t".join([label, *counts, *names]) for label, counts, names in rows]
    block = "".join(f"{line}\n" for line in lines).encode()
    active, labels = CriteoEncoding(*size).encode(block, ORIGIN)
    for line, row, label in zip(lines, active, labels, strict=True):
        assert (row[row != NOTHING].tolist(), label) == criteo_reference(line, *size)


def spoilt(place: int, text: str) -> bytes:
    """Two good lines and a third with one field replaced."""
    *good, last = made(3)
    fields = last.split("\t")
    fields[place] = text
    return "\n".join([*good, "\t".join(fields), ""]).encode()


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        (spoilt(0, "2"), "a label other than 0 and 1"),
        (spoilt(0, ""), "a label other than 0 and 1"),
        (spoilt(0, "01"), "a label other than 0 and 1"),
        (spoilt(3, "1.5"), "a count that is no integer"),
        (spoilt(13, "-"), "a count that is no integer"),
        (spoilt(14, "123456789"), "a category of more than 8 bytes"),
        (spoilt(39, "1234abcd\r"), "a category of more than 8 bytes"),
        (spoilt(20, "nan"), "NaN for a category"),
        (spoilt(21, "1234\x00abc"), "a NUL byte"),
        (spoilt(20, "a\tb"), "41 fields, not 40"),
        (spoilt(38, "a\nb"), "39 fields, not 40"),
    ],
)
def test_a_bad_line_is_named(block: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=f"^day_1, line 3 has {complaint}; fetch it again$"):
        CriteoEncoding(10, 16).encode(block, ORIGIN)


def test_a_packed_day_reads_as_its_lines(tmp_path: Path) -> None:
    block = CriteoLines("train", 0).lines(np.arange(50))
    (tmp_path / "day_1.gz").write_bytes(gzip.compress(block))
    with gzip.open(tmp_path / "day_1.gz") as day:
        slots, labels = CriteoEncoding(10, 16).encode(day.read(), ORIGIN)
    with CRITEO_SYNTHETIC[0].open("train", tmp_path) as reader:
        x, y = reader.take(np.arange(50))
    assert np.array_equal(y, labels)
    assert [np.flatnonzero(row).tolist() for row in x] == [row[row >= 0].tolist() for row in slots]


def test_seeds_differ(tmp_path: Path) -> None:
    plain, other = CRITEO_SYNTHETIC[0], CriteoSynthetic(CRITEO_SYNTHETIC[0].encoding, seed=1)
    assert plain.identity() != other.identity()
    seen = []
    for source in (plain, other):
        with source.open("train", tmp_path) as reader:
            seen.append(reader.take(np.arange(9))[0].tobytes())
    assert seen[0] != seen[1]


def test_clicks_are_learnt_from_few_rows(tmp_path: Path) -> None:
    """Logistic regression with Adam (Kingma and Ba, 2015) on 4000 rows, step 0.001, batches of 32.

    Even so little a model is far from guessing, and better after more epochs.
    """
    source = CRITEO_SYNTHETIC[0]
    with source.open("train", tmp_path) as reader:
        x, y = reader.take(np.arange(4000))
    with source.open("valid", tmp_path) as reader:
        x_valid, y_valid = reader.take(np.arange(5000))
    weights = np.zeros(547)
    first, second = np.zeros(547), np.zeros(547)
    scores = []
    for step in range(1, 5 * 125 + 1):
        batch = np.arange(32) + (step - 1) % 125 * 32
        inputs = np.column_stack([x[batch], np.ones(32)])
        gradient = inputs.T @ (1 / (1 + np.exp(-inputs @ weights)) - y[batch]) / 32
        first += 0.1 * (gradient - first)
        second += 0.001 * (gradient**2 - second)
        scale = np.sqrt(second / (1 - 0.999**step)) + 1e-7
        weights -= 0.001 * first / (1 - 0.9**step) / scale
        if step % 125 == 0:
            scores.append(auc(x_valid @ weights[:-1], y_valid == 1))
    assert scores[-1] > 0.68
    assert scores[0] + 0.02 < scores[-1] < 0.83
