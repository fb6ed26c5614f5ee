"""The paper's own numbers as a source of quantities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from experiments.analysis import tidy
from experiments.analysis.reference import Reference
from experiments.report.quantities import Found, Point, Unavailable, Value
from experiments.specs.claim import LEAST, MOST, Quantity, Stated
from experiments.specs.load import approaches

_TABLES: Mapping[str, str] = {
    "e2e-imagenet": "table6-imagenet",
    "e2e-criteo": "table6-criteo",
    "search": "table7",
}
_BREAKDOWNS: Mapping[str, str] = {
    "breakdown": "9b",
    "two-times": "9b",
    "e2e-imagenet": "9b",
    "e2e-criteo": "9c",
}
_COLUMNS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "execution": (("exec_h", "h"),),
    "etl": (("etl_h", "h"),),
    "gpu_util_pct": (("gpu_util_pct", "%"),),
    "gpu_ram_pct": (("gpu_ram_pct", "%"),),
    "cpu_pct": (("cpu_pct", "%"),),
    "cpu_beside_gpu_pct": (("cpu_pct", "%"),),
    "dram_pct": (("dram_pct", "%"),),
    "network_bytes": (("network_TB", "TB"), ("network_GB", "GB")),
    "disk_read_bytes": (("disk_read_GB_per_worker", "GB"),),
    "disk_write_bytes": (("disk_write_GB_per_worker", "GB"),),
    "search_seconds": (("total_h", "h"),),
    "search_error": (("best_error", ""),),
}
_SCALED: Mapping[str, str] = {
    "speed_up": "10a",
    "train_valid_scaled": "10b",
    "data_transmission_scaled": "10c",
    "other_scaled": "10d",
}
_SIZES: Mapping[str, str] = {"mobilenetv2": "52", "resnet50": "294", "resnet152": "693"}
"""The paper's megabytes of each architecture's state (Section 5.2.3)."""


class PaperNumbers:
    """Quantities as the paper has them.

    Parameters
    ----------
    references : its figures and tables, by id.
    stated : what only its text has.
    """

    def __init__(self, references: Mapping[str, Reference], stated: Sequence[Stated] = ()) -> None:
        self._papers = references
        self._stated = {each.quantity: each for each in stated}

    def value(self, quantity: Quantity) -> Found:
        """A value of one sample, or that the paper has no such number."""
        if quantity in self._stated:
            found = self._stated[quantity]
            return Value((found.value,), found.unit)
        make = _MADE.get(quantity.measure, PaperNumbers._listed)
        number, unit = make(self, quantity)
        if number is None:
            return Unavailable("the paper has no such number")
        return Value((number,), unit)

    def points(self, quantity: Quantity, axis: str) -> tuple[Point, ...]:
        if axis == "architecture":
            return tuple(_SIZES)
        figure, row = self._line(quantity)
        values = zip(figure.columns, figure.rows.get(row, ()), strict=False)
        return tuple(int(column) for column, value in values if value is not None)

    def _row(self, quantity: Quantity, figure: str) -> str:
        known = approaches()
        if quantity.approach not in known:  # what several of ours stand for has the paper's name
            return quantity.approach
        row = known[quantity.approach].paper
        return row if row is not None and row in self._papers[figure].rows else ""

    def _cell(self, figure: str, quantity: Quantity, column: str) -> float | None:
        return self._papers[figure].value(self._row(quantity, figure), column)

    def _listed(self, quantity: Quantity) -> tuple[float | None, str]:
        table = _TABLES.get(quantity.experiment)
        for column, unit in _COLUMNS.get(quantity.measure, ()):
            if table is not None and column in self._papers[table].columns:
                return self._cell(table, quantity, column), unit
        return None, ""

    def _end_to_end(self, quantity: Quantity) -> tuple[float | None, str]:
        table = _TABLES[quantity.experiment]
        etl, execution = (self._cell(table, quantity, name) for name in ("etl_h", "exec_h"))
        return (None if etl is None or execution is None else etl + execution), "h"

    def _epochs(self, quantity: Quantity) -> float:
        """Of the paper's runs: execution by the rounded hours of one epoch."""
        table = _TABLES[quantity.experiment]
        hours = (self._cell(table, quantity, name) for name in ("exec_h", "epoch_h"))
        execution, epoch = (each or float("nan") for each in hours)
        return round(execution / epoch)

    def _epoch(self, quantity: Quantity) -> tuple[float | None, str]:
        execution = self._cell(_TABLES[quantity.experiment], quantity, "exec_h")
        return (None if execution is None else execution / self._epochs(quantity)), "h"

    def _component(self, quantity: Quantity) -> tuple[float | None, str]:
        figure = _BREAKDOWNS[quantity.experiment]
        parts = {name: self._cell(figure, quantity, name) for name in tidy.COMPONENTS}
        known = {name: value for name, value in parts.items() if value is not None}
        if len(known) < len(parts):
            return None, ""
        if quantity.measure == "epoch_parts":
            return sum(known.values()), "h"
        name = quantity.measure.removesuffix("_share")
        share = name != quantity.measure
        return known[name] / (sum(known.values()) if share else 1), "" if share else "h"

    def _final_error(self, quantity: Quantity) -> tuple[float | None, str]:
        if quantity.experiment != "e2e-imagenet":
            return None, ""
        return self._cell("9a", quantity, self._papers["9a"].columns[-1]), ""

    def _time_to_ma(self, quantity: Quantity) -> tuple[float | None, str]:
        curves = self._papers["9a"]
        target = curves.value("MA", curves.columns[-1])
        epoch, unit = self._epoch(quantity)
        for number in curves.columns:
            error = self._cell("9a", quantity, number)
            if error is not None and target is not None and epoch is not None and error <= target:
                return int(number) * epoch, unit
        return None, unit

    def _line(self, quantity: Quantity) -> tuple[Reference, str]:
        """Figure and row in which columns are numbers of workers."""
        if quantity.measure in {"asynchronous_speed_up", "asynchronous_theory"}:
            row = "actual" if quantity.measure == "asynchronous_speed_up" else "theory"
            actual = self._papers["11a"]
            return actual, row
        if quantity.measure == "simulated_speed_up":
            return self._papers["16"], f"{quantity.panel} simulation"
        figure = _SCALED["speed_up" if quantity.measure == "efficiency" else quantity.measure]
        return self._papers[figure], self._row(quantity, figure)

    def _by_workers(self, quantity: Quantity) -> tuple[float | None, str]:
        figure, row = self._line(quantity)
        counts = [str(point) for point in self.points(quantity, "workers")]
        workers = str(quantity.workers)
        if workers in {MOST, LEAST}:
            if not counts:
                return None, ""
            workers = counts[-1] if workers == MOST else counts[0]
        found = figure.value(row, workers) if workers in figure.columns else None
        if found is not None and quantity.measure == "efficiency":
            found /= int(workers)
        return found, ""

    def _bound(self, quantity: Quantity) -> tuple[float | None, str]:
        return self._papers["16-bounds"].value(quantity.panel, "eta"), ""

    def _of_size(self, quantity: Quantity) -> tuple[float | None, str]:
        size = _SIZES.get(quantity.architecture, "")
        if not size:
            return None, ""
        training, hop = (self._cell(figure, quantity, size) for figure in ("15a", "15b"))
        if training is None or hop is None:
            return None, ""
        if quantity.measure == "size_hop_share":
            return hop / (hop + training), ""
        return (hop if quantity.measure == "size_hop" else training), "h"

    def _lines(self, quantity: Quantity) -> tuple[float | None, str]:
        return self._cell("loc", quantity, "lines"), "lines"


_Make = Callable[[PaperNumbers, Quantity], tuple[float | None, str]]
_MADE: Mapping[str, _Make] = {
    "end_to_end": PaperNumbers._end_to_end,
    "epoch": PaperNumbers._epoch,
    **dict.fromkeys(
        (
            *tidy.COMPONENTS,
            *(f"{name}_share" for name in tidy.COMPONENTS),
            "epoch_parts",
        ),
        PaperNumbers._component,
    ),
    "final_error": PaperNumbers._final_error,
    "time_to_ma_error": PaperNumbers._time_to_ma,
    **dict.fromkeys(
        (*_SCALED, "efficiency", "asynchronous_speed_up", "asynchronous_theory"),
        PaperNumbers._by_workers,
    ),
    "simulated_speed_up": PaperNumbers._by_workers,
    "simulated_bound": PaperNumbers._bound,
    **dict.fromkeys(("size_train_valid", "size_hop", "size_hop_share"), PaperNumbers._of_size),
    "lines": PaperNumbers._lines,
}
"""How measures are found that no single column has."""
