"""Which measure of a validation set's predictions a figure shows."""

from __future__ import annotations

from dataclasses import dataclass

MARK = "‡"


@dataclass(frozen=True)
class Measure:
    """A column of :func:`experiments.analysis.tidy.evaluations`, and its name on an axis."""

    column: str
    title: str


TOP5 = Measure("top5_error", "top-5 validation error")
TOP1 = Measure("top1_error", "top-1 validation error")
LOG_LOSS = Measure("loss", "validation log-loss")
AUC = Measure("auc", "validation AUC")


def of(classes: int) -> Measure:
    """Top-5 error, as in the paper, only where five guesses are few; the lower, the better."""
    if classes >= 100:
        return TOP5
    return TOP1 if classes > 2 else LOG_LOSS


def why_not_top5(classes: int) -> str | None:
    """The footnote of a measure that is not the paper's."""
    if classes >= 100:
        return None
    if classes > 5:
        chance = f"guessing five of {classes} classes errs in {100 * (1 - 5 / classes):.0f} % only"
    else:
        chance = f"it is 0 for every model: five guesses cover all {classes} classes"
    return (
        f"{MARK} Not the paper's top-5 error: {chance}. "
        f"Shown instead: {of(classes).title}{' and AUC' if classes == 2 else ''}."
    )
