"""Every claim's check: on the paper's own numbers, and on numbers made up for each outcome."""

from __future__ import annotations

import pytest

from experiments.analysis import reference
from experiments.report import drawn
from experiments.report.judge import combined, paper_outcome
from experiments.report.our_numbers import _DERIVED
from experiments.report.paper_numbers import PaperNumbers
from experiments.report.quantities import RESOURCES, Unavailable
from experiments.report.relations import State, compare
from experiments.report.run_measures import COMPONENTS, MEASURES
from experiments.report.verdict import Outcome
from experiments.specs import claims as specs
from experiments.specs.claim import MEASURES as CLAIMED
from experiments.specs.claim import WITHOUT_NUMBERS, Claim, Part
from tests.report.made_up_claims import holding, violating, without

CLAIMS = specs.load()
PAPER = PaperNumbers(reference.load(), CLAIMS.stated)
EVERY = list(CLAIMS.claims.values())
CHECKED = [claim for claim in EVERY if claim.parts]

SAID: dict[str, set[Outcome | None]] = {
    "OK": {Outcome.REPRODUCED, Outcome.SIMULATED},
    "PART": {Outcome.DIRECTION_ONLY},
    "NO": {Outcome.CONTRADICTED},
    "simulation": {Outcome.SIMULATED},
    **{said: {None} for said in WITHOUT_NUMBERS},
}
"""What the digest's words for a verdict are here."""

by_id = pytest.mark.parametrize("claim", CHECKED, ids=lambda claim: claim.id)


def test_there_are_53_in_order() -> None:
    assert list(CLAIMS.claims) == [str(number) for number in range(1, 54)]


@pytest.mark.parametrize("claim", EVERY, ids=lambda claim: claim.id)
def test_the_paper_s_numbers_make_of_it_what_is_written(claim: Claim) -> None:
    assert paper_outcome(claim, PAPER) in SAID[claim.paper_verdict]


def test_claims_the_paper_has_numbers_of_are_checked_on_all_of_them() -> None:
    for claim in CHECKED:
        if claim.paper_verdict not in WITHOUT_NUMBERS:
            compared = [compare(p, PAPER) for p in claim.parts if p.source != "ours"]
            assert not [one.part.what for one in compared if one.state is None], claim.id


def test_every_measure_can_be_found_in_runs() -> None:
    known = {*MEASURES, *COMPONENTS, *RESOURCES, *_DERIVED, *drawn.MEASURES}
    used = {q.measure for claim in CHECKED for part in claim.parts for q in part.quantities}
    assert used <= known
    assert known - {"etl"} <= {*CLAIMED} | {"model_transmission_share", "train_valid_share"}


def ours(claim: Claim) -> list[Part]:
    return [part for part in claim.parts if part.source != "paper"]


@by_id
def test_it_holds_on_numbers_that_satisfy_it(claim: Claim) -> None:
    compared = [compare(part, holding(part)) for part in ours(claim)]
    assert [one.state for one in compared] == [State.HOLDS] * len(compared)
    simulated = any("simulated" in one.evidence for one in compared)
    outcome, _ = combined(claim, compared)
    assert outcome is (Outcome.SIMULATED if simulated else Outcome.REPRODUCED)


@by_id
def test_it_is_contradicted_on_numbers_that_violate_it(claim: Claim) -> None:
    compared = [compare(part, violating(part)) for part in ours(claim)]
    assert [one.state for one in compared] == [State.FAILS] * len(compared)
    assert combined(claim, compared)[0] is Outcome.CONTRADICTED


@by_id
def test_one_part_that_fails_is_told(claim: Claim) -> None:
    first, *rest = ours(claim)
    compared = [compare(first, violating(first)), *(compare(part, holding(part)) for part in rest)]
    outcome, reason = combined(claim, compared)
    mixed = bool(rest) and claim.combine == "each"
    assert outcome is (Outcome.DIRECTION_ONLY if mixed else Outcome.CONTRADICTED)
    assert "oes not hold" in reason or "do not hold" in reason


@by_id
@pytest.mark.parametrize(
    "lost",
    [
        Unavailable("no finished run of MA", Outcome.NOT_RUN, pending=True),
        Unavailable("no GPU"),
    ],
    ids=["not run", "not measurable"],
)
def test_without_numbers_it_says_what_is_missing(claim: Claim, lost: Unavailable) -> None:
    compared = [compare(part, without(lost)) for part in ours(claim)]
    outcome, reason = combined(claim, compared)
    assert outcome is lost.outcome or any(part.along for part in ours(claim))
    assert lost.reason in reason


@by_id
def test_a_part_that_cannot_be_compared_leaves_direction_only(claim: Claim) -> None:
    first, *rest = ours(claim)
    compared = [compare(first, without(Unavailable("no GPU")))]
    compared += [compare(part, holding(part)) for part in rest]
    outcome, reason = combined(claim, compared)
    assert outcome is (Outcome.DIRECTION_ONLY if rest else Outcome.NOT_MEASURABLE)
    assert "no GPU" in reason


def test_what_can_still_be_run_comes_before_a_verdict() -> None:
    claim = CLAIMS.claims["1"]
    first, *rest = claim.parts
    pending = without(Unavailable("no finished run", Outcome.NOT_RUN, pending=True))
    compared = [compare(first, pending), *(compare(part, holding(part)) for part in rest)]
    assert combined(claim, compared)[0] is Outcome.NOT_RUN


def test_one_failure_contradicts_a_claim_that_says_all_at_once() -> None:
    claim = CLAIMS.claims["4"]
    first, second = claim.parts
    pending = without(Unavailable("no finished run", Outcome.NOT_RUN, pending=True))
    compared = [compare(first, violating(first)), compare(second, pending)]
    assert combined(claim, compared)[0] is Outcome.CONTRADICTED


@pytest.mark.parametrize("claim", EVERY, ids=lambda claim: claim.id)
def test_it_says_why_it_cannot_be_checked_or_how_it_is(claim: Claim) -> None:
    assert bool(claim.parts) != bool(claim.missing)
    for part in claim.parts:
        assert part.origin or (part.low, part.high, part.points, part.tolerance) == (
            None,
            None,
            None,
            0.0,
        )
