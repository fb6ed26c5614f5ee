"""The topology file: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import SpecError
from experiments.specs.topology import (
    COORDINATOR,
    ROLES,
    SCHEDULER,
    SEGMENT,
    SPARK_WORKER,
    WORKER,
    Node,
    Topology,
    roles_of_node,
)

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
FOLDERS = NAMES.map(lambda name: Path("/", name.replace("/", "_")))
GPUS = ["GPU-11111111-2222", "GPU-33333333-4444", "MIG-55555555-6666"]


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    count = draw(st.integers(1, 8))
    ports = iter(
        draw(st.lists(st.integers(1, 65535), min_size=count * 6, max_size=count * 6, unique=True))
    )
    data = draw(st.lists(FOLDERS, min_size=count, max_size=count, unique=True))
    nodes = tuple(
        Node(
            index=index,
            address=draw(st.sampled_from(["127.0.0.1", "10.0.0.7", "node-a.example"])),
            data=data[index],
            ports={role: next(ports) for role in roles_of_node(index)},
            gpus=tuple(draw(st.lists(st.sampled_from(GPUS), unique=True))),
        )
        for index in range(count)
    )
    return Topology(
        name=draw(NAMES),
        secrets=draw(FOLDERS),
        threads=draw(st.integers(1, 64)),
        nodes=nodes,
        user=draw(st.none() | NAMES),
        cache_bytes=draw(st.integers(0, 2**40)),
        spark_home=draw(st.none() | FOLDERS),
    )


@settings(deadline=None)
@given(topology=topologies())
def test_what_is_written_is_read_back(
    topology: Topology, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "topology.json"
    topology.write(path)
    assert Topology.read(path) == topology


def two_nodes() -> Topology:
    return Topology(
        name="two",
        secrets=Path("/cluster/secrets"),
        threads=1,
        nodes=(
            Node(0, "10.0.0.1", Path("/data/0"), dict(zip(ROLES, range(1, 7), strict=True))),
            Node(1, "10.0.0.2", Path("/data/1"), {SEGMENT: 7, WORKER: 8, SPARK_WORKER: 9}),
        ),
    )


def test_helpers_find_the_servers() -> None:
    topology = two_nodes()
    assert topology.workers == 2
    assert topology.coordinator == ("10.0.0.1", topology.nodes[0].ports[COORDINATOR])
    assert topology.segments == (
        ("10.0.0.1", topology.nodes[0].ports[SEGMENT]),
        ("10.0.0.2", 7),
    )
    assert topology.scheduler == f"tls://10.0.0.1:{topology.nodes[0].ports[SCHEDULER]}"
    assert [node.index for node in topology.nodes_of(SCHEDULER)] == [0]
    assert [node.index for node in topology.nodes_of(WORKER)] == [0, 1]


def test_the_file_holds_no_secret_and_anyone_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "topology.json"
    two_nodes().write(path)
    assert path.stat().st_mode & 0o777 == 0o644
    assert json.loads(path.read_text())["secrets"] == "/cluster/secrets"


Change = Callable[[dict[str, Any]], object]
BAD: dict[str, tuple[str, Change]] = {
    "name missing": ("name", lambda d: d.pop("name")),
    "name empty": ("name", lambda d: d.update(name="")),
    "secrets relative": ("secrets", lambda d: d.update(secrets="secrets")),
    "threads zero": ("threads", lambda d: d.update(threads=0)),
    "threads a truth": ("threads", lambda d: d.update(threads=True)),
    "user a number": ("user", lambda d: d.update(user=7)),
    "user missing": ("user", lambda d: d.pop("user")),
    "cache negative": ("cache_bytes", lambda d: d.update(cache_bytes=-1)),
    "no nodes": ("nodes", lambda d: d.update(nodes=[])),
    "nodes an object": ("nodes", lambda d: d.update(nodes={})),
    "node a number": ("nodes[1]", lambda d: d["nodes"].__setitem__(1, 3)),
    "node out of order": ("nodes[0].index", lambda d: d["nodes"].reverse()),
    "address missing": ("nodes[1].address", lambda d: d["nodes"][1].pop("address")),
    "data relative": ("nodes[1].data", lambda d: d["nodes"][1].update(data="data")),
    "ports a list": ("nodes[0].ports", lambda d: d["nodes"][0].update(ports=[1])),
    "port missing": ("nodes[1].ports.segment", lambda d: d["nodes"][1]["ports"].pop("segment")),
    "port too high": (
        "nodes[0].ports.coordinator",
        lambda d: d["nodes"][0]["ports"].update(coordinator=65536),
    ),
    "port a text": ("nodes[0].ports.worker", lambda d: d["nodes"][0]["ports"].update(worker="5")),
    "gpus a text": ("nodes[1].gpus", lambda d: d["nodes"][1].update(gpus="GPU-1")),
    "a gpu's number": ("nodes[1].gpus", lambda d: d["nodes"][1].update(gpus=[0])),
    "a gpu's number as text": ("nodes[1].gpus", lambda d: d["nodes"][1].update(gpus=["0"])),
    "a gpu twice": ("nodes[1].gpus", lambda d: d["nodes"][1].update(gpus=["GPU-1", "GPU-1"])),
    "role unknown": ("nodes[1].ports.segmnet", lambda d: d["nodes"][1]["ports"].update(segmnet=9)),
    "field unknown": ("thread", lambda d: d.update(thread=3)),
    "port twice": ("nodes[1].ports.worker", lambda d: d["nodes"][1]["ports"].update(worker=7)),
    "data twice": (
        "nodes[1].data",
        lambda d: d["nodes"][1].update(address="10.0.0.1", data="/data/0"),
    ),
}


@pytest.mark.parametrize(("field", "change"), BAD.values(), ids=BAD.keys())
def test_a_bad_field_is_named_with_its_file(field: str, change: Change, tmp_path: Path) -> None:
    data = copy.deepcopy(two_nodes().to_json())
    change(data)
    path = tmp_path / "topology.json"
    path.write_text(json.dumps(data))
    with pytest.raises(SpecError, match=re.escape(f"{path}: {field}: ")):
        Topology.read(path)


def test_a_field_with_a_default_may_be_missing(tmp_path: Path) -> None:
    data = two_nodes().to_json()
    del data["cache_bytes"], data["nodes"][1]["gpus"]
    path = tmp_path / "topology.json"
    path.write_text(json.dumps(data))
    assert Topology.read(path) == two_nodes()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"text"', b"\xff\xfe"])
def test_a_file_that_is_no_json_object_is_named(content: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "topology.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SpecError, match=re.escape(str(path))):
        Topology.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.json"
    with pytest.raises(SpecError, match=re.escape(f"{path}: cannot be read (No such file")):
        Topology.read(path)
