"""``claims.toml``: what a claim may say, and errors that name file and claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.errors import SpecError
from experiments.specs import claims
from experiments.specs.claim import Claims, Quantity

GOOD = """
[stand_ins]
spark = ["cerebro-spark-native"]
[origins]
runs = "spread of runs"
[[stated]]
measure = "execution"
experiment = "e2e-criteo"
approach = "ctq"
value = 40
unit = "h"
source = "the text"
[claims.7]
title = "CTQ is faster"
words = "CTQ is faster than UDAF."
place = "Table 6"
paper_verdict = "OK"
needs = ["e2e-imagenet", "e2e-criteo"]
figures = ["table6"]
[[claims.7.parts]]
what = "time"
relation = "order"
measure = "execution"
each = { experiment = ["e2e-imagenet", "e2e-criteo"] }
terms = ["ctq", ["udaf", "spark"]]
tolerance = 0.1
origin = "runs"
"""


def load(folder: Path, text: str) -> Claims:
    path = folder / "claims.toml"
    path.write_text(text)
    return claims.load(path)


def test_a_part_has_a_case_for_each_combination(tmp_path: Path) -> None:
    found = load(tmp_path, GOOD)
    claim = found.claims["7"]
    assert [part.case for part in claim.parts] == [
        {"experiment": "e2e-imagenet"},
        {"experiment": "e2e-criteo"},
    ]
    first, second = claim.parts[0].groups["terms"]
    assert first == (Quantity("execution", "e2e-imagenet", "ctq"),)
    assert [each.approach for each in second] == ["udaf", "spark"]
    assert claim.parts[0].origin == "spread of runs"
    assert (claim.combine, claim.scales) == ("each", ("smoke", "laptop", "paper"))
    assert claim.evidence == ("measured", "emulated")
    assert found.stated[0].value == 40
    assert found.needs == ("e2e-imagenet", "e2e-criteo")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('title = "CTQ is faster"', "", "claim 7: title is missing"),
        ('"OK"', '"FINE"', "claim 7: unknown paper_verdict 'FINE'"),
        ('figures = ["table6"]', 'figures = ["tabel6"]', "did you mean 'table6'"),
        ('"order"', '"ordr"', "claim 7, part 1: unknown relation 'ordr': did you mean 'order'"),
        ('measure = "execution"\neach', 'measure = "exection"\neach', "did you mean 'execution'"),
        ('"ctq", ["udaf"', '"ctk", ["udaf"', "claim 7, part 1: unknown approach 'ctk'"),
        ('each = { experiment = ["e2e-imagenet", "e2e-criteo"] }', "", "without measure"),
        ('needs = ["e2e-imagenet", "e2e-criteo"]', 'needs = ["e2e-criteo"]', "not in needs"),
        ('origin = "runs"', "", "needs its origin"),
        ("tolerance = 0.1", 'tolerance = "much"', "tolerance is 'much', no number"),
        ("tolerance = 0.1", "low = 0.1", "low and high are of between and ratio"),
        ("tolerance = 0.1", 'along = "workers"', "goes along an axis"),
        ("tolerance = 0.1", "tolerence = 0.1", "tolerence is not a known key"),
        ('place = "Table 6"', 'place = "Table 6"\nmissing = "a thing"', "either parts or what"),
        ('"order"', '"close"', None),
        ("tolerance = 0.1\n", "", None),
        ('terms = ["ctq",', "terms = [7,", "7 is no quantity"),
        ('terms = ["ctq",', 'terms = [{ aproach = "ctq" },', "did you mean 'approach'"),
        ("value = 40", "", "stated[0]: value is missing"),
        ('spark = ["cerebro-spark-native"]', 'spark = ["cerebro-spork"]', "stand_ins.spark"),
        ("[claims.7]", "[claims.7", "cannot be read"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_claim(
    tmp_path: Path, old: str, new: str, told: str | None
) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if new == "" and "measure" in (told or ""):
        text = GOOD.replace('measure = "execution"\neach', "each", 1)
    if told is None:  # these hold together
        load(tmp_path, text.replace('origin = "runs"', 'origin = "words of mine"'))
        return
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text)
    assert "claims.toml" in str(caught.value)
    assert told in str(caught.value)


def test_a_relation_has_what_it_compares_with(tmp_path: Path) -> None:
    text = GOOD.replace('"order"', '"close"').replace("tolerance = 0.1\n", "")
    with pytest.raises(SpecError, match="close needs a tolerance, or points"):
        load(tmp_path, text)


def test_a_claim_without_parts_says_what_is_missing(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("[[claims.7.parts]]")]
    with pytest.raises(SpecError, match="claim 7: has either parts or what is missing"):
        load(tmp_path, text)
    assert load(tmp_path, f'{text}missing = "a cluster"').claims["7"].missing == "a cluster"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"claims\.toml: cannot be read"):
        claims.load(tmp_path / "claims.toml")
