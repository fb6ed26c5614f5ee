"""What the 2x is made of, from made-up runs whose epochs have known lengths."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.analysis import reference, two_times
from experiments.analysis.runs import Run, load
from experiments.errors import SpecError
from experiments.specs.load import protocols
from tests.analysis.synthetic_runs import Label, retime, spec, typical, write_run

LABELS = {"ctq": Label("CTQ", "CTQ"), "da-cerebro": Label("DA-Cerebro", "DA-Cerebro")}
EVENTS = 3
"""Steps of a made-up epoch: two evaluations and its end."""


def run(root: Path, approach: str, protocol: str, times: float) -> Run:
    """An epoch takes so many times as long as its training, on a machine of any speed."""
    own, train = spec(approach=approach, protocol=protocols(approach)[protocol]), 1.0 + times
    folder = root / f"{approach}-{protocol}"
    write_run(folder, own, typical(own, {"train": train, "valid": 0.5}))
    return retime(load(folder), times * train / EVENTS)


def runs(root: Path) -> list[Run]:
    found = [run(root, "ctq", name, 2.0 + place) for place, name in enumerate(two_times.STEPS)]
    found += [run(root, "da-cerebro", "equal", 2.0), run(root, "da-cerebro", "paper", 3.5)]
    return found


def test_each_step_is_what_it_adds_to_the_one_before(tmp_path: Path) -> None:
    papers = reference.load()
    table = two_times.table(runs(tmp_path), LABELS, papers["9b"], papers["table6-imagenet"])
    inside = table[(table["approach"] == "ctq") & (table["source"] == "here")]
    assert list(inside["protocol"]) == list(two_times.STEPS)
    assert list(inside["value"]) == pytest.approx([2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert list(inside["added"][1:]) == pytest.approx([1.0] * 5)
    assert inside["share"].sum() == pytest.approx(1.0)
    ratios = inside.set_index("protocol")["ratio"]
    assert list(ratios) == pytest.approx([1.0, 1.5, 2.0, 2.5, 3.0, 2.0])
    theirs = table[(table["approach"] == "ctq") & (table["evidence"] == "reference")]
    assert list(theirs["ratio"]) == [pytest.approx(4.143125 / 2.309149), pytest.approx(4.5 / 2.3)]


def test_the_figure_says_the_ratios(tmp_path: Path) -> None:
    papers, every = reference.load(), runs(tmp_path)
    table = two_times.table(every, LABELS, papers["9b"], papers["table6-imagenet"])
    figure = two_times.figure(table, every, LABELS)
    words = " ".join(text.get_text() for text in figure.texts)
    assert "measured, smoke scale" in words
    assert "1.00 times as long" in words
    assert "3.00 times with all steps but the last, 2.00 times where each does what" in words
    assert "1.79 (Fig 9B) and 1.96 (Table 6)" in words
    bars = [text.get_text() for text in figure.axes[0].texts]
    assert bars[-1] == "7.00  (+1.00, +20 %)  2.00 x DA"


def test_a_missing_step_is_named(tmp_path: Path) -> None:
    papers = reference.load()
    with pytest.raises(SpecError, match="a run of ctq with protocol decompression is missing"):
        two_times.table(
            [each for each in runs(tmp_path) if str(each.spec.protocol) != "decompression"],
            LABELS,
            papers["9b"],
            papers["table6-imagenet"],
        )
