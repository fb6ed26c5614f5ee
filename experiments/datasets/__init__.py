"""Named data sets: raw rows to shuffled, balanced, verified partitions on disk.

``prepare`` is the way in; workers and loaders open what it made with ``PreparedDataset.open``.
A new data set is one module with one class (see ``source.py``) and one line in ``registry.py``.
"""

from experiments.datasets.preparation import (
    check,
    fingerprint,
    is_prepared,
    prepare,
    prepare_forms,
)
from experiments.datasets.prepared import Partition, PreparedDataset, one_hot
from experiments.datasets.registry import SOURCES, find_source
from experiments.datasets.shuffle import Permutation
from experiments.datasets.source import SPLITS, RowReader, Source, SourceInfo, Split

__all__ = [
    "SOURCES",
    "SPLITS",
    "Partition",
    "Permutation",
    "PreparedDataset",
    "RowReader",
    "Source",
    "SourceInfo",
    "Split",
    "check",
    "find_source",
    "fingerprint",
    "is_prepared",
    "one_hot",
    "prepare",
    "prepare_forms",
]
