"""A verdict for every claim: parts are compared, and a claim is made of its parts.

A claim's outcome follows from its parts by one rule:

- a part that cannot be decided has no vote and is named; if a command at this scale would bring
  what it lacks, the claim is *not run* until then, unless a part of a claim that says all of them
  at once is contradicted already;
- all parts hold: *reproduced*; on a virtual clock in some part: *simulated*;
- all that could be compared hold, but some could not: *direction only*, since it is not all of what
  the claim says;
- more fail than do not, or one of a claim that says all of them at once does: *contradicted*;
- anything between (most hold and some fail, or a size is missed on the right side): *direction
  only*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from experiments.analysis import reference
from experiments.analysis.reference import Reference
from experiments.analysis.runs import Run
from experiments.report import claim_words as words
from experiments.report.our_numbers import OurNumbers
from experiments.report.paper_numbers import PaperNumbers
from experiments.report.quantities import Source, Unavailable
from experiments.report.relations import Compared, State, compare
from experiments.report.run_measures import Measured
from experiments.report.verdict import Outcome, Verdict
from experiments.specs.claim import Claim, Claims

EQUAL = "equal"
JUDGED = (EQUAL, "own-feedback", "paper")
"""Protocols that claims are judged under; those between are steps from the first to the last."""
SIMULATED = "simulated"


def judge(
    claims: Claims,
    runs: Sequence[Run],
    *,
    scale: str = "",
    references: Mapping[str, Reference] | None = None,
) -> list[Verdict]:
    """A verdict for every claim, in their order.

    Parameters
    ----------
    runs : finished runs of one scale, of any experiments and protocols.
    scale : theirs, if there are none.
    references : the paper's values; by default those of this checkout.

    Raises
    ------
    DataError
        A journal does not hold what a finished run's does; the message names it.
    """
    paper = PaperNumbers(references or reference.load(), claims.stated)
    sources = _Sources(claims, runs, scale or _scale(runs))
    return [_verdict(claim, sources, paper) for claim in claims.claims.values()]


def _scale(runs: Sequence[Run]) -> str:
    return runs[0].spec.scale if runs else "laptop"


class _Sources:
    """Our numbers by protocol, and with other stand-ins."""

    def __init__(self, claims: Claims, runs: Sequence[Run], scale: str) -> None:
        self.scale = scale
        self._claims = claims
        self._measured: dict[tuple[str, str], Measured] = {}
        self._by_protocol: dict[str, list[Run]] = {EQUAL: []}
        for run in runs:
            self._by_protocol.setdefault(str(run.spec.protocol), []).append(run)

    @property
    def protocols(self) -> tuple[str, ...]:
        return tuple(name for name in JUDGED if name in self._by_protocol)

    def under(self, protocol: str, stand_ins: Mapping[str, Sequence[str]] | None = None) -> Source:
        chosen = self._claims.stand_ins if stand_ins is None else stand_ins
        return OurNumbers(self._by_protocol[protocol], self.scale, chosen, self._measured)

    def others(self, claim: Claim, protocol: str) -> Iterable[tuple[str, Source]]:
        """Every other approach that may stand for one of the claim's, and its numbers."""
        used = {q.approach for part in claim.parts for q in part.quantities}
        for name, ids in self._claims.stand_ins.items():
            if name not in used:
                continue
            ran = {
                run.spec.approach
                for run in self._by_protocol[protocol]
                if run.spec.experiment in claim.needs
            }
            for each in [one for one in ids if one in ran][1:]:
                yield each, self.under(protocol, {**self._claims.stand_ins, name: (each,)})


def paper_outcome(claim: Claim, paper: Source) -> Outcome | None:
    """The same check on the paper's own numbers; None where it has none."""
    compared = _compared(claim, paper, "paper")
    outcome, _ = combined(claim, compared)
    if outcome in {Outcome.NOT_RUN, Outcome.NOT_MEASURABLE}:
        return None
    simulated = all(
        quantity.measure.startswith(SIMULATED)
        for one in compared
        if one.state is not None
        for quantity, _ in one.values
    )
    return Outcome.SIMULATED if simulated and outcome is Outcome.REPRODUCED else outcome


def _compared(claim: Claim, source: Source, name: str) -> list[Compared]:
    return [compare(part, source) for part in claim.parts if part.source in {"", name}]


def combined(claim: Claim, compared: Sequence[Compared]) -> tuple[Outcome, str]:
    """The claim's outcome by the rule at the top of this module, and what decided it."""
    decided = [one for one in compared if one.state is not None]
    lacking = tuple(dict.fromkeys(each for one in compared for each in one.lacking))
    failed = [one for one in decided if one.state is State.FAILS]
    pending = any(each.pending for each in lacking)
    over = bool(failed) and claim.combine == "all"
    if not decided or (pending and not over):
        return _undecided(lacking), words.lacking(lacking, len(decided), len(compared))
    states = [one.state for one in decided]
    if over or 2 * len(failed) > len(decided):
        outcome = Outcome.CONTRADICTED
    elif all(state is State.HOLDS for state in states) and not lacking:
        simulated = any(SIMULATED in one.evidence for one in decided)
        outcome = Outcome.SIMULATED if simulated else Outcome.REPRODUCED
    else:
        outcome = Outcome.DIRECTION_ONLY
    return outcome, words.decided(decided, compared)


def _undecided(lacking: Sequence[Unavailable]) -> Outcome:
    not_run = any(each.outcome is Outcome.NOT_RUN for each in lacking)
    return Outcome.NOT_RUN if not_run else Outcome.NOT_MEASURABLE


def _verdict(claim: Claim, sources: _Sources, paper: PaperNumbers) -> Verdict:
    base = Verdict(
        claim=claim.id,
        title=claim.title,
        words=claim.words,
        place=claim.place,
        outcome=Outcome.NOT_MEASURABLE,
        reason=f"Not measurable here: it would take {claim.missing}.",
        needs=claim.needs,
        figures=claim.figures,
    )
    if claim.missing:
        return base
    base = replace(
        base,
        paper=words.numbers(c for c in _compared(claim, paper, "paper") if c.state is not None),
        paper_outcome=paper_outcome(claim, paper),
    )
    if sources.scale not in claim.scales:
        return replace(base, outcome=Outcome.NOT_RUN, reason=words.too_small(claim, sources.scale))
    return _judged(base, claim, sources)


def _judged(base: Verdict, claim: Claim, sources: _Sources) -> Verdict:
    by_protocol: dict[str, tuple[Outcome, str, list[Compared]]] = {}
    for protocol in sources.protocols if claim.habits else (EQUAL,):
        compared = _compared(claim, sources.under(protocol), "ours")
        if protocol != EQUAL:  # what was run so is judged; what was not needs not be run so
            compared = [one for one in compared if not any(each.pending for each in one.lacking)]
        compared = [_allowed(one, claim) for one in compared]
        by_protocol[protocol] = *combined(claim, compared), compared
    settled = {
        protocol: outcome
        for protocol, (outcome, _, _) in by_protocol.items()
        if outcome not in {Outcome.NOT_RUN, Outcome.NOT_MEASURABLE}
    }
    main = EQUAL if EQUAL in settled or not settled else next(iter(settled))
    outcome, reason, compared = by_protocol[main]
    others = {
        each: combined(claim, [_allowed(c, claim) for c in _compared(claim, source, "ours")])[0]
        for each, source in sources.others(claim, main)
    }
    shown = [one for one in compared if one.state is not None]
    return replace(
        base,
        outcome=outcome,
        reason=words.reason(claim, reason, compared, settled, main, outcome, others, sources.scale),
        ours=words.numbers(shown),
        evidence=tuple(sorted({kind for one in shown for kind in one.evidence})),
        protocols=settled if len(settled) > 1 or main != EQUAL else {},
        runs=tuple(
            dict.fromkeys(name for one in shown for _, value in one.values for name in value.runs)
        ),
        numbers={"parts": [words.as_json(one) for one in compared]},
    )


def _allowed(compared: Compared, claim: Claim) -> Compared:
    """A part that rests on evidence which may not decide the claim is undecided."""
    wrong = compared.evidence - {*claim.evidence}
    if compared.state is None or not wrong:
        return compared
    reason = f"its runs are {' and '.join(sorted(wrong))}; only {' or '.join(claim.evidence)} count"
    return replace(compared, state=None, lacking=(Unavailable(reason, Outcome.NOT_RUN),))
