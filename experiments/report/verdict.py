"""What became of a claim: the words that the table, the page and the crate share."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Outcome(enum.StrEnum):
    """How a claim of the paper fares here, by evidence of the kinds that may decide it."""

    REPRODUCED = "reproduced"
    """It holds, within the claim's tolerance, on measured or emulated evidence."""
    DIRECTION_ONLY = "direction only"
    """The order or the sign holds, the size does not."""
    CONTRADICTED = "contradicted"
    SIMULATED = "simulated"
    """It holds, but only on a virtual clock."""
    NOT_RUN = "not run"
    """The runs that it needs are not finished at this scale."""
    NOT_MEASURABLE = "not measurable here"
    """Something that it needs does not exist here; the reason names it."""


@dataclass(frozen=True)
class Verdict:
    """One claim, judged.

    Attributes
    ----------
    claim : its id, ``"1"`` to ``"53"``: the paper's claims as ``specs/claims.toml`` numbers them.
    title : the claim in a few words.
    words : the claim in a sentence or two, ours.
    place : where the paper makes it.
    paper : the paper's numbers in words; empty where it has none.
    ours : ours in words; empty where there are none.
    paper_outcome : the same check on the paper's own numbers, ``None`` where it has none.
    reason : one sentence: what decided, or what is missing.
    evidence : kinds of evidence of what was used: ``measured``, ``emulated``, ``simulated``, ...
    protocols : outcome by protocol, where the claim was judged under several.
    needs : experiments whose runs it needs.
    figures : ids of the figures and tables that show it.
    runs : names of the runs that were used.
    numbers : what was compared, as JSON holds it.
    """

    claim: str
    title: str
    words: str
    place: str
    outcome: Outcome
    reason: str
    paper: str = ""
    ours: str = ""
    paper_outcome: Outcome | None = None
    evidence: tuple[str, ...] = ()
    protocols: Mapping[str, Outcome] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
