"""A real coordinator and two real segments, started once for all tests of this room."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.datasets import SPLITS, PreparedDataset, prepare
from experiments.paths import state
from experiments.runtime.local import LocalRuntime
from experiments.specs.model import DatasetSpec
from experiments.specs.secrets import Secrets
from experiments.specs.topology import Topology
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import Segment
from experiments.warehouse.load import load
from experiments.warehouse.pack import pack
from experiments.warehouse.targeted import TargetedQueries
from experiments.warehouse.unit_tables import make_unit_tables

WORKERS = 2


@pytest.fixture(scope="session")
def topology(state_folder: Path) -> Iterator[Topology]:
    with LocalRuntime(state_folder / "clusters" / "warehouse-tests") as runtime:
        made = runtime.make_topology("warehouse-tests", WORKERS, threads=1)
        runtime.start(made, ("segment", "coordinator"))
        yield made
        runtime.stop(purge=True)


@pytest.fixture(scope="session")
def cluster(topology: Topology) -> Cluster:
    made = Cluster(
        topology.coordinator,
        tuple(Segment(key, *endpoint) for key, endpoint in enumerate(topology.segments)),
        Secrets(topology.secrets).password(),
    )
    made.setup()
    return made


@pytest.fixture(scope="session")
def dataset() -> PreparedDataset:
    return prepare(DatasetSpec("blobs", train_rows=301, valid_rows=64), WORKERS, seed=11)


@pytest.fixture(scope="session")
def packed(cluster: Cluster, dataset: PreparedDataset) -> str:
    """The packed table ``shared_packed``, in buffers of a few rows."""
    load(cluster, dataset, "train", "shared")
    return pack(
        cluster, "shared", dataset.input_shape, dataset.classes, buffer_bytes=50 * 256
    ).table


@pytest.fixture(scope="session")
def tables(cluster: Cluster, dataset: PreparedDataset) -> None:
    """The packed tables by the names that training knows."""
    for split in SPLITS:
        load(cluster, dataset, split, split)
        pack(cluster, split, dataset.input_shape, dataset.classes, buffer_bytes=50 * 256)


@pytest.fixture(scope="session")
def unit_tables(cluster: Cluster, tables: None) -> None:
    """The tables and views of training fully inside the database."""
    make_unit_tables(cluster)


@pytest.fixture
def queries(cluster: Cluster) -> Iterator[TargetedQueries]:
    made = TargetedQueries(cluster, "content")
    yield made
    made.close()


@pytest.fixture
def store(topology: Topology, tmp_path: Path) -> Iterator[Path]:
    """A folder of model states that the segments may write."""
    folder = state().stores / tmp_path.name
    folder.mkdir(parents=True)
    if topology.user:
        shutil.chown(folder, topology.user)
    yield folder
    shutil.rmtree(folder)
