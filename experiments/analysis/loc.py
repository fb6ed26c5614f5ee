"""Lines of code of each approach, its own and the ones that it shares (§5.2.5).

A line counts if something of it is neither comment, docstring nor white space, as in ``cloc``,
which the paper used. (Its version 1.96 gives the same number for every file listed here, except
where it takes a string in triple quotes for a comment.)
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from pygments.lexers import PostgresLexer, PythonLexer
from pygments.token import Comment, String

from experiments.analysis import page
from experiments.analysis.labels import ApproachLabel
from experiments.analysis.output import RC
from experiments.analysis.reference import Reference, paper_rows
from experiments.errors import DataError, SpecError
from experiments.specs.loc import FileLists

OWN = "own"
_OWN_TITLE = "Its own"

_LEXERS = {".py": PythonLexer, ".sql": PostgresLexer}
_NO_CODE = (Comment, String.Doc)

_COLOURS = (
    *("#1b4f72", "#9ecae1", "#c3e3d2", "#f5dfa8", "#e9b28a"),
    *("#c9b6d8", "#d9d9d9", "#f2c9d4"),
)
_HATCHES = ("", "", "//", "..", "xx", "\\\\", "++", "oo")
_LEFT, _RIGHT = 1.95, 1.75
_ROW, _HEAD, _AXIS = 0.44, 1.5, 0.55
_NARROWEST = 0.035
_PAPER_MARK = 0.4
_NUMBERS: Mapping[str, float] = {"own": 1.07, "total": 1.135, "paper": 1.2}
"""Where columns of numbers end, in widths of the axes."""


def lines(path: Path) -> int:
    """Lines of code in a file.

    Raises
    ------
    DataError
        It is of a language that is not known here.
    """
    lexer = _LEXERS.get(path.suffix)
    if lexer is None:
        raise DataError(f"{path}: lines of code are counted of {', '.join(_LEXERS)} files only")
    counted: set[int] = set()
    line = 1
    for kind, text in lexer(stripnl=False).get_tokens(path.read_text(encoding="utf-8")):
        for part in text.splitlines(keepends=True):
            if part.strip() and not any(kind in other for other in _NO_CODE):
                counted.add(line)
            line += part.endswith("\n")
    return len(counted)


def table(lists: FileLists, labels: Mapping[str, ApproachLabel], paper: Reference) -> pd.DataFrame:
    """Lines of every part of every approach.

    Returns
    -------
    DataFrame
        One row per approach and part, in the order of the labels and of the lists: ``approach,
        title, part, part_title``; ``group``, ``own`` if no other approach has the part; ``shared``
        with how many others; ``files``; ``lines``; ``total`` of the approach, each part once;
        ``paper_row`` and ``paper_lines`` as the paper has them, its total.

    Raises
    ------
    SpecError
        An approach has no lists.
    DataError
        A file cannot be counted.
    """
    counted = {key: sum(lines(path) for path in part.files) for key, part in lists.parts.items()}
    rows_of = paper_rows(labels, paper)
    rows: list[dict[str, Any]] = []
    for approach, label in labels.items():
        if approach not in lists.approaches:
            raise SpecError(f"loc.toml: approach {approach!r} has no parts")
        parts = lists.approaches[approach]
        row = rows_of.get(approach)
        for key in parts:
            part, others = lists.parts[key], len(lists.users(key)) - 1
            rows.append(
                {
                    "approach": approach,
                    "title": label.title,
                    "part": key,
                    "part_title": part.title,
                    "group": part.group if others else OWN,
                    "shared": others,
                    "files": len(part.files),
                    "lines": counted[key],
                    "total": sum(counted[each] for each in parts),
                    "paper_row": row,
                    "paper_lines": None if row is None else paper.value(row, "lines"),
                }
            )
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row per approach, one column per part; a part that an approach lacks is a dash."""
    order = list(dict.fromkeys(table["part_title"]))
    wide = table.pivot_table(index="title", columns="part_title", values="lines", sort=False)
    wide = wide.reindex(columns=order)
    own = table[table["group"] == OWN].groupby("title")["lines"].sum()
    totals = table.drop_duplicates("title").set_index("title")
    text = wide.map(lambda value: "–" if pd.isna(value) else f"{value:,.0f}")
    text.insert(0, "own", [f"{own.get(title, 0):,.0f}" for title in text.index])
    text["total"] = [f"{totals.loc[title, 'total']:,.0f}" for title in text.index]
    papers = [totals.loc[title, "paper_lines"] for title in text.index]
    text["paper"] = ["–" if pd.isna(value) else f"{value:,.0f}" for value in papers]
    text.index.name, text.columns.name = "approach", None
    return text


def figure(table: pd.DataFrame, lists: FileLists, paper: Reference) -> Figure:
    """Drawn from :func:`table`: what is its own first, then shared parts by group."""
    titles = {OWN: _OWN_TITLE, **lists.groups}
    approaches = [part for _, part in table.groupby("approach", sort=False)]
    notes = page.wrap(_notes(table, lists, paper))
    foot = _AXIS + page.NOTE * (len(notes) + 1)
    tall = _ROW * len(approaches)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, _HEAD + tall + foot))
        axes = page.axes(figure, _LEFT, foot, page.WIDTH - _LEFT - _RIGHT, tall)
        _frame(axes, table, [textwrap.fill(part["title"].iloc[0], 20) for part in approaches])
        for row, part in enumerate(approaches):
            _bar(axes, row, part, list(titles))
        page.write(
            figure,
            "§5.2.5 · Lines of code by approach · counted in this checkout, beside the paper's",
            f"{_OWN_TITLE.lower()} and shared parts, each once · as cloc counts: "
            "no blank lines, comments or docstrings",
            notes,
        )
        handles: list[Patch | Line2D] = [
            Patch(facecolor=colour, hatch=hatch, edgecolor="black", linewidth=0.6, label=title)
            for colour, hatch, title in zip(_COLOURS, _HATCHES, titles.values(), strict=True)
        ]
        handles.append(Line2D([], [], color="black", linewidth=2.5, label="The paper's total"))
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0.008, 1 - 0.62 / figure.get_figheight()),
            ncols=5,
            frameon=False,
            fontsize=9.5,
            columnspacing=1.6,
        )
    return figure


def _frame(axes: Axes, table: pd.DataFrame, titles: list[str]) -> None:
    longest = max(table["total"].max(), table["paper_lines"].max())
    axes.set_xlim(0, 1.02 * longest)
    axes.set_ylim(len(titles) - 0.45, -0.55)
    axes.set_yticks(range(len(titles)), titles)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("lines of code")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for name, place in _NUMBERS.items():
        _number(axes, place, -0.75, name, name)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _bar(axes: Axes, row: int, part: pd.DataFrame, groups: list[str]) -> None:
    sums = part.groupby("group")["lines"].sum()
    start, span = 0.0, axes.get_xlim()[1]
    for number, group in enumerate(groups):
        value = float(sums.get(group, 0.0))
        if not value:
            continue
        axes.barh(
            row,
            value,
            0.56,
            left=start,
            facecolor=_COLOURS[number],
            hatch=_HATCHES[number],
            edgecolor="black",
            linewidth=0.6,
        )
        if value > _NARROWEST * span:
            axes.text(
                start + value / 2,
                row,
                f"{value:,.0f}",
                ha="center",
                va="center",
                fontsize=8.5,
                color="white" if group == OWN else "black",
                bbox={"facecolor": _COLOURS[number], "edgecolor": "none", "pad": 1.0},
            )
        start += value
    paper = part["paper_lines"].iloc[0]
    numbers = {"own": float(sums.get(OWN, 0.0)), "total": start, "paper": paper}
    for (name, place), value in zip(_NUMBERS.items(), numbers.values(), strict=True):
        text = "–" if pd.isna(value) else f"{value:,.0f}"
        _number(axes, place, row, text, name)
    if not pd.isna(paper):
        axes.vlines(paper, row - _PAPER_MARK, row + _PAPER_MARK, color="black", linewidth=2.5)


def _number(axes: Axes, place: float, row: float, text: str, name: str) -> None:
    axes.text(
        place,
        row,
        text,
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="center",
        fontsize=9.5,
        color=page.GREY if name == "paper" else "black",
        fontweight="bold" if name == "total" else "normal",
    )


def _notes(table: pd.DataFrame, lists: FileLists, paper: Reference) -> list[str]:
    alone = ", ".join(dict.fromkeys(table[table["group"] == OWN]["part_title"]))
    return [
        f"Its own: parts that no other approach has ({alone}). Which files a part is made of is in "
        "experiments/specs/loc.toml; no file is in two parts.",
        "Counted here are the rooms approaches, warehouse, mop and models: what trains. Not "
        "counted is what every run has (specs, data sets, journal, search, starting roles, "
        f"figures){_uncounted(table, lists)}. The parallel database is also what makes one of "
        "stock PostgreSQL; Greenplum is in no count of the paper's.",
        "The paper's counts are of another code base. "
        + " ".join(f"{row}: {note}" for row, note in paper.notes.items()),
        paper.remark,
    ]


def _uncounted(table: pd.DataFrame, lists: FileLists) -> str:
    """What approaches import for options of their own."""
    titles = table.drop_duplicates("approach").set_index("approach")["title"]
    return "".join(
        f", nor what only an option of {titles[approach]}'s needs "
        f"({', '.join(file.name for file in files)})"
        for approach, files in lists.options.items()
        if approach in titles
    )
