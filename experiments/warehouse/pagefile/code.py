"""Compiled code, all of it at once and before there is anything to read."""

from __future__ import annotations

import numpy as np

from experiments.warehouse.pagefile.compression import expand
from experiments.warehouse.pagefile.layout import POSTGRES_15
from experiments.warehouse.pagefile.native import fill
from experiments.warehouse.pagefile.pages import Horizon, tuples_of_pages
from experiments.warehouse.pagefile.toast import read_and_place
from experiments.warehouse.pagefile.tuples import deform, gather


def load_code() -> None:
    """Compile what a scan calls, or load what was compiled before, by calls on no rows at all.

    Takes some ten seconds after a change of this folder, half a second in a new process.
    """
    data, ids = np.zeros(0, np.uint8), np.zeros(0, np.uint32)
    each, forms = np.zeros(0, np.int64), np.zeros((0, 0), np.uint8)
    several, fault = np.zeros((0, 0), np.int64), np.zeros(3, np.int64)
    shape, horizon = POSTGRES_15, Horizon(0, 0, data, ids, ids)
    fill(-1, 0, data)
    tuples_of_pages(data, 0, 0, shape, False, horizon, each, each, data, fault)
    at = several, several, several
    deform(data, each, each, each, each, each, shape, forms, *at, fault)
    gather(data, data, each, each, each, data)
    placing = (horizon, ids, each, each, each, data, several, fault)
    read_and_place(-1, 0, data, 0, 0, shape, False, *placing)
    expand(data, each, each, data, each, each)
