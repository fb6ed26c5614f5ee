"""Table 6's execution times and Figs 9B and 9C's components at paper scale, predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.analysis.labels import ApproachLabel
from experiments.analysis.panels import COMPONENT_TITLES
from experiments.analysis.prediction import Epoch, epoch
from experiments.analysis.pricing import Job, Prices
from experiments.analysis.rates import Rates
from experiments.analysis.reference import Reference
from experiments.specs.prediction import Assumptions, Input, PaperRow, Predicted

GOAL = 0.15
"""How far a prediction may be from the paper's value that nothing of it was fitted to."""

EXECUTION, EPOCH = "execution", "epoch"

_HOUR = 3600.0


def table(
    rates: Rates,
    assumed: Assumptions,
    labels: Mapping[str, ApproachLabel],
    references: Mapping[str, Reference],
) -> pd.DataFrame:
    """Predictions beside the paper's values.

    Returns
    -------
    DataFrame
        For each data set and row of the paper ``execution`` (Table 6, all epochs), the components
        of an epoch (Fig 9B or 9C) and ``epoch``, their sum:

        ``data``, ``paper_row``, ``approach`` of ours whose rates were taken, and its ``title``
        ``quantity``; ``predicted_h`` and ``paper_h`` in hours; ``error`` relative to the paper's
        ``fitted`` inputs that were worked out from this very row, ``;`` between them
        ``inputs`` all others that are the paper's own or derived from it
        ``measured_share`` of the prediction that rests on rates measured here
        ``evidence`` ``simulated``
    """
    rows = [
        {**about, **cells}
        for dataset in assumed.datasets.values()
        for about, cells in _rows(dataset, rates, assumed, labels, references)
    ]
    return pd.DataFrame(rows)


def _rows(
    dataset: Predicted,
    rates: Rates,
    assumed: Assumptions,
    labels: Mapping[str, ApproachLabel],
    references: Mapping[str, Reference],
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    job = Job.of_paper(dataset)
    times, bars = references[dataset.table], references[dataset.components]
    for row in assumed.rows.values():
        if row.name not in times.rows:
            continue
        used = assumed.used(dataset.id, row.way)

        def predicted(paper: Reference, row: PaperRow = row) -> tuple[dict[str, Any], Epoch]:
            approach = row.approach(paper.figure)
            about = {
                "data": dataset.id,
                "paper_row": row.name,
                "approach": approach,
                "title": labels[approach].title,
            }
            return about, epoch(Prices(job, row, approach, rates, assumed))

        about, found = predicted(times)
        hours = found.seconds * job.epochs / _HOUR
        cells = _cells(EXECUTION, hours, times.value(row.name, "exec_h"), times, row, used)
        yield about, {**cells, "measured_share": found.measured / found.seconds}
        about, found = predicted(bars)
        values = dict(
            zip(
                COMPONENT_TITLES,
                (found.train_valid, found.data, found.model, found.specific),
                strict=True,
            )
        )
        papers = {name: bars.value(row.name, name) for name in COMPONENT_TITLES}
        values[EPOCH] = found.seconds
        papers[EPOCH] = sum(value or 0.0 for value in papers.values())
        for name, seconds in values.items():
            cells = _cells(name, seconds / _HOUR, papers[name], bars, row, used)
            yield about, {**cells, "measured_share": found.measured / found.seconds}


def _cells(
    quantity: str,
    hours: float,
    paper: float | None,
    figure: Reference,
    row: PaperRow,
    used: Sequence[Input],
) -> dict[str, Any]:
    fitted = [each.id for each in used if f"{figure.figure}/{row.name}" in each.fitted]
    theirs = [each.id for each in used if each.kind != "textbook" and each.id not in fitted]
    return {
        "quantity": quantity,
        "predicted_h": hours,
        "paper_h": paper,
        "error": hours / paper - 1.0 if paper else None,
        "fitted": ";".join(fitted),
        "inputs": ";".join(theirs),
        "evidence": "simulated",
    }


def summary(table: pd.DataFrame, assumed: Assumptions) -> pd.DataFrame:
    """Table 6 in words: one row per data set and row of the paper."""
    found = table[table["quantity"] == EXECUTION]
    index = pd.MultiIndex.from_arrays(
        [[assumed.datasets[name].title for name in found["data"]], found["paper_row"]],
        names=["data set", "row"],
    )
    return pd.DataFrame(
        {
            "predicted (h)": [f"{value:.1f}" for value in found["predicted_h"]],
            "paper (h)": [f"{value:.1f}" for value in found["paper_h"]],
            "error": [f"{100 * value:+.1f} %" for value in found["error"]],
            "rates of": list(found["title"]),
            "rates' share": [f"{100 * value:.2f} %" for value in found["measured_share"]],
            "inputs from this very row": [words(value) for value in found["fitted"]],
            "other inputs of the paper's": [words(value) for value in found["inputs"]],
        },
        index=index,
    )


def inputs(assumed: Assumptions) -> pd.DataFrame:
    """Every input: what it is, whose predictions use it, and which rows it was worked out from."""
    return pd.DataFrame(
        {
            "value": ["" if each.value is None else f"{each.value:.5g}" for each in _all(assumed)],
            "kind": [each.kind for each in _all(assumed)],
            "of": [each.data or "both" for each in _all(assumed)],
            "ways": [", ".join(each.ways) for each in _all(assumed)],
            "worked out from": [", ".join(each.fitted) or "–" for each in _all(assumed)],
            "source": [each.source for each in _all(assumed)],
        },
        index=pd.Index(list(assumed.inputs), name="input"),
    )


def _all(assumed: Assumptions) -> list[Input]:
    return list(assumed.inputs.values())


def words(ids: str) -> str:
    """Ids of inputs, as the table has them, for a reader."""
    return ids.replace(";", ", ") or "–"
