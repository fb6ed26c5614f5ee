"""What is found of GPUs, who gets which, and what a role's process sees of it."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pynvml
import pytest

from experiments import nvidia
from experiments.approaches.dask_client import connect
from experiments.errors import EnvironmentFault
from experiments.models.frameworks import FRACTION_VARIABLE
from experiments.nvidia import VISIBLE_VARIABLE, Found, Gpu
from experiments.paths import CHECKOUT
from experiments.runtime import gpus, roles
from experiments.runtime.local import LocalRuntime
from experiments.runtime.process import leftovers
from experiments.specs.secrets import Secrets
from experiments.specs.topology import (
    ALL_SEGMENTS,
    COORDINATOR,
    GPU_SEGMENTS,
    SCHEDULER,
    SEGMENT,
    SPARK_MASTER,
    SPARK_WORKER,
    WORKER,
    Node,
    Topology,
    roles_of_node,
)
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import Segment
from tests import fake_nvml
from tests.fake_nvml import GIB, Card

Patch = pytest.MonkeyPatch
PYTHON = sys.executable


def test_every_gpu_is_found_with_its_memory(monkeypatch: Patch) -> None:
    fake_nvml.install(monkeypatch, Card("GPU-a"), Card("GPU-t", "Tesla T4", 16 * GIB))
    assert nvidia.find() == Found(
        (Gpu("GPU-a", "NVIDIA A100", 40 * GIB), Gpu("GPU-t", "Tesla T4", 16 * GIB))
    )


def test_instances_stand_in_place_of_the_gpu_that_is_divided(monkeypatch: Patch) -> None:
    fake_nvml.install(monkeypatch, Card("GPU-a", parts=("MIG-1", "MIG-2")), Card("GPU-b"))
    found = nvidia.find()
    assert [gpu.uuid for gpu in found.gpus] == ["MIG-1", "MIG-2", "GPU-b"]
    assert found.gpus[0] == Gpu("MIG-1", "NVIDIA A100 MIG 1g.5gb", 5 * GIB)
    assert not found.reason


def lacks_its_library(monkeypatch: Patch) -> None:
    fake_nvml.remove(monkeypatch)
    monkeypatch.setattr(nvidia, "DEVICE", Path("/dev/null"))


def lacks_a_driver(monkeypatch: Patch) -> None:
    fake_nvml.remove(monkeypatch)
    monkeypatch.setattr(nvidia, "DEVICE", Path("/nowhere"))


def lacks_the_package(monkeypatch: Patch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(nvidia, "DEVICE", Path("/dev/null"))


def does_not_match(monkeypatch: Patch) -> None:
    fake_nvml.install(monkeypatch, broken=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)


def has_no_module(monkeypatch: Patch) -> None:
    fake_nvml.install(monkeypatch, broken=pynvml.NVML_ERROR_DRIVER_NOT_LOADED)


def names_none(monkeypatch: Patch) -> None:
    fake_nvml.install(monkeypatch)


@pytest.mark.parametrize(
    ("state", "reason", "broken"),
    [
        (lacks_a_driver, "no NVIDIA driver", False),
        (names_none, "names no GPU", False),
        (lacks_the_package, "asked once the environment stands", False),
        (lacks_its_library, "libnvidia-ml.so.1 is not found", True),
        (does_not_match, "does not answer: RM has detected an NVML/RM version mismatch", True),
        (has_no_module, "does not answer: Driver Not Loaded", True),
    ],
)
def test_none_is_a_value_with_its_reason(
    state: Callable[[Patch], None], reason: str, broken: bool, monkeypatch: Patch
) -> None:
    state(monkeypatch)
    found = nvidia.find()
    assert (found.gpus, found.broken) == ((), broken)
    assert reason in found.reason


def test_a_gpu_that_fails_does_not_hide_the_others(monkeypatch: Patch) -> None:
    lost = Card("GPU-a", error=pynvml.NVML_ERROR_GPU_IS_LOST)
    fake_nvml.install(monkeypatch, lost, Card("GPU-b"), Card("GPU-c", parts=()))
    found = nvidia.find()
    assert [gpu.uuid for gpu in found.gpus] == ["GPU-b"]
    assert found.reason == "GPU 0: GPU is lost; GPU 2: is in MIG mode and has no instance"
    assert found.broken


def test_a_machine_or_container_is_asked_by_a_command(tmp_path: Path) -> None:
    command = [str(fake_nvml.python(tmp_path, Card("GPU-a"))), "-m", "experiments", "gpus"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout) == {
        "gpus": [{"uuid": "GPU-a", "name": "NVIDIA A100", "memory_bytes": 40 * GIB}],
        "reason": "",
        "broken": False,
    }


def test_the_command_takes_nothing() -> None:
    assert gpus.command(["--json"]) == 2


def listed(count: int) -> list[Gpu]:
    return [Gpu(f"GPU-{number}", "NVIDIA A100", 40 * GIB) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "nodes", "expected"),
    [
        (0, 2, [(), ()]),
        (2, 2, [("GPU-0",), ("GPU-1",)]),
        (4, 2, [("GPU-0",), ("GPU-1",)]),
        (2, 3, [("GPU-0",), ("GPU-1",), ("GPU-0",)]),
    ],
)
def test_each_node_gets_one_while_they_last(
    count: int, nodes: int, expected: list[tuple[str, ...]]
) -> None:
    assert gpus.assign(listed(count), nodes) == expected


@pytest.mark.parametrize(
    ("found", "nodes", "expected"),
    [
        (Found(reason="no NVIDIA driver"), 2, ["training on the CPU: no NVIDIA driver"]),
        (
            Found(reason="the NVIDIA driver does not answer: Timeout", broken=True),
            2,
            ["warning: the NVIDIA driver does not answer: Timeout", "training on the CPU"],
        ),
        (
            Found(tuple(listed(1)), "GPU 1: GPU is lost", broken=True),
            1,
            ["warning: GPU 1: GPU is lost"],
        ),
        (Found(tuple(listed(2))), 2, []),
        (Found(tuple(listed(4))), 1, ["3 of 4 GPUs stay idle: --workers is 1"]),
        (
            Found(tuple(listed(2))),
            8,
            ["warning: 8 workers share 2 GPUs: 4 on one, each with 0.23 of its memory"],
        ),
        (
            Found(tuple(listed(3))),
            8,
            ["warning: 8 workers share 3 GPUs: up to 3 on one, each with 0.3 of its memory"],
        ),
    ],
)
def test_what_is_amiss_is_told_in_lines(
    found: Found, nodes: int, expected: list[str], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(gpus, "cpu_builds", list)
    assert gpus.remarks(found, nodes) == expected


def test_a_framework_that_can_use_no_gpu_is_told(monkeypatch: Patch) -> None:
    versions = {"tensorflow-cpu": "2.21.0", "torch": "2.13.0+cpu"}
    monkeypatch.setattr(gpus, "_version", lambda name: versions.get(name, ""))
    assert gpus.remarks(Found(tuple(listed(1))), 1) == [
        "warning: TensorFlow's build here is for CPUs only",
        "warning: torch's build here is for CPUs only",
    ]
    versions = {"torch": "2.13.0"}
    assert not gpus.remarks(Found(tuple(listed(1))), 1)


def cluster(*given: tuple[str, ...], folder: Path = Path("/cluster")) -> Topology:
    """A topology whose nodes have these GPUs."""
    ports = iter(range(6000, 6100))
    nodes = [
        Node(
            index,
            f"10.0.0.{index}",
            folder / f"node-{index}",
            {role: next(ports) for role in roles_of_node(index)},
            uuids,
        )
        for index, uuids in enumerate(given)
    ]
    return Topology("tests", folder / "secrets", 1, tuple(nodes))


@pytest.mark.parametrize(
    ("given", "visible", "share"),
    [
        ([("GPU-a",), ("GPU-b",)], "GPU-a", "1"),
        ([("GPU-a",), ("GPU-a",)], "GPU-a", "0.45"),
        ([("GPU-a",), ("GPU-a",), ("GPU-a",), ("GPU-b",)], "GPU-a", "0.3"),
        ([("MIG-1",), ("MIG-2",)], "MIG-1", "1"),
        ([("GPU-a", "GPU-b"), ("GPU-b",)], "GPU-a", "1"),
        ([(), ("GPU-a",)], "", "1"),
    ],
)
def test_a_node_sees_its_own_gpu_and_its_share(
    given: list[tuple[str, ...]], visible: str, share: str
) -> None:
    topology = cluster(*given)
    assert gpus.gpu_environment(topology, topology.nodes[0]) == {
        VISIBLE_VARIABLE: visible,
        FRACTION_VARIABLE: share,
    }


def test_only_nodes_with_a_gpu_take_part_where_that_is_asked() -> None:
    nodes = cluster((), ("GPU-a",), (), ("GPU-a",)).nodes
    assert gpus.usable_nodes(nodes, ALL_SEGMENTS) == nodes
    assert [node.index for node in gpus.usable_nodes(nodes, GPU_SEGMENTS)] == [1, 3]


def test_a_cluster_without_any_is_refused_in_one_line() -> None:
    nodes = cluster((), ()).nodes
    with pytest.raises(EnvironmentFault, match="--segments gpu: none of 2 nodes has a GPU; leave"):
        gpus.usable_nodes(nodes, GPU_SEGMENTS)
    with pytest.raises(EnvironmentFault, match=r"this machine has no GPU \(no NVIDIA driver\)"):
        gpus.check_segments(GPU_SEGMENTS, Found(reason="no NVIDIA driver"))
    gpus.check_segments(ALL_SEGMENTS, Found(reason="no NVIDIA driver"))
    gpus.check_segments(GPU_SEGMENTS, Found(tuple(listed(1))))


def test_devices_are_told_by_name(monkeypatch: Patch) -> None:
    fake_nvml.install(monkeypatch, Card("GPU-a"))
    topology = cluster(("GPU-a",), (), ("GPU-elsewhere",))
    assert gpus.devices(topology) == ["NVIDIA A100", "CPU", "GPU-elsewhere"]


@pytest.fixture
def environment_of(tmp_path: Path, monkeypatch: Patch) -> Callable[..., dict[str, str]]:
    """What a role's process sees, by name, on node 0 of a topology with these GPUs."""

    def start(name: str, *given: tuple[str, ...]) -> dict[str, str]:
        seen: dict[str, str] = {}

        def serve(_topology: Topology, _node: Node) -> None:
            seen.update({key: os.environ[key] for key in (VISIBLE_VARIABLE, FRACTION_VARIABLE)})

        monkeypatch.setattr(roles, "ROLES", {name: serve})
        monkeypatch.setenv(VISIBLE_VARIABLE, "0,1,2,3")
        monkeypatch.setenv(FRACTION_VARIABLE, "0.01")
        monkeypatch.setattr(roles, "die_with_parent", lambda _: None)
        path = tmp_path / "topology.json"
        cluster(*given).write(path)
        roles.main(name, path, 0)
        return seen

    return start


@pytest.mark.parametrize("name", [SEGMENT, WORKER, SPARK_WORKER])
def test_a_role_that_trains_says_on_what(
    name: str,
    environment_of: Callable[..., dict[str, str]],
    monkeypatch: Patch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_nvml.install(monkeypatch, Card("GPU-a"))
    seen = environment_of(name, ("GPU-a",), ("GPU-a",))
    assert seen == {VISIBLE_VARIABLE: "GPU-a", FRACTION_VARIABLE: "0.45"}
    assert environment_of(name, ("GPU-a",))[FRACTION_VARIABLE] == "1"
    assert environment_of(name, ()) == gpus.NO_GPU
    assert capsys.readouterr().err.splitlines() == [
        "node 0 trains on NVIDIA A100 (GPU-a), with 0.45 of its memory: 2 nodes share it",
        "node 0 trains on NVIDIA A100 (GPU-a)",
        "node 0 trains on the CPU",
    ]


@pytest.mark.parametrize("name", [COORDINATOR, SCHEDULER, SPARK_MASTER])
def test_a_role_that_does_not_train_sees_none(
    name: str, environment_of: Callable[..., dict[str, str]]
) -> None:
    assert environment_of(name, ("GPU-a",)) == gpus.NO_GPU


def test_a_gpu_that_is_not_there_is_named_before_the_role_serves(
    environment_of: Callable[..., dict[str, str]], monkeypatch: Patch
) -> None:
    lacks_a_driver(monkeypatch)
    with pytest.raises(EnvironmentFault, match=r"GPU-a is not here \(no NVIDIA driver\).*toolkit"):
        environment_of(WORKER, ("GPU-a",))
    fake_nvml.install(monkeypatch, Card("GPU-b"))
    with pytest.raises(EnvironmentFault, match=r"GPU-a is not here \(only GPU-b\)"):
        environment_of(WORKER, ("GPU-a",))


@pytest.fixture
def runtime(tmp_path: Path, state_folder: Path, monkeypatch: Patch) -> Iterator[LocalRuntime]:
    """A local runtime on a machine with one GPU, as far as NVML goes."""
    card = Card("GPU-only")
    fake_nvml.install(monkeypatch, card)
    folder = state_folder / "clusters" / "gpus"
    folder.parent.mkdir(exist_ok=True)
    with LocalRuntime(folder) as made:
        monkeypatch.setattr(sys, "executable", str(fake_nvml.python(tmp_path, card)))
        yield made
        made.stop(purge=True)
    assert not leftovers(folder)


def seen() -> list[str | None]:
    """What a worker that runs this sees."""
    names = "CUDA_VISIBLE_DEVICES", "CEREBRO_DS_GPU_FRACTION"
    return [os.environ.get(name) for name in names]


SHARED = ["GPU-only", "0.45"]


def test_workers_that_share_a_gpu_see_it(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("shared", 2, 1)
    assert [node.gpus for node in topology.nodes] == [("GPU-only",), ("GPU-only",)]
    runtime.start(topology, (SCHEDULER, WORKER))
    with connect(topology) as client:
        assert [*client.run(seen).values()] == [SHARED, SHARED]
        assert client.run_on_scheduler(seen) == ["", "1"]
    log = (runtime.root / "logs" / "worker-1.log").read_text()
    assert "node 1 trains on NVIDIA A100 (GPU-only), with 0.45 of its memory" in log


def test_backends_of_a_segment_see_its_gpu(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("shared", 2, 1)
    runtime.start(topology, (COORDINATOR, SEGMENT))
    segments = tuple(Segment(key, *each) for key, each in enumerate(topology.segments))
    cluster = Cluster(topology.coordinator, segments, Secrets(topology.secrets).password())
    for segment, expected in ((None, ["", "1"]), *((each, SHARED) for each in segments)):
        with contextlib.closing(cluster.connect(segment)) as session, session.cursor() as cursor:
            cursor.execute(
                "CREATE EXTENSION plpython3u; CREATE FUNCTION seen() RETURNS text[] LANGUAGE "
                f"plpython3u AS $$import os\n{inspect.getsource(seen)}\nreturn seen()$$;"
                "SELECT seen()"
            )
            assert cursor.fetchone() == (expected,)


SPARK_DRIVER = f"""
import os, sys
from pathlib import Path
from experiments.approaches.spark_client import Spark
from experiments.specs.topology import Topology
{inspect.getsource(seen)}
spark = Spark(Topology.read(Path(sys.argv[1])), "tests")
print(spark.on_all(seen))
spark.stop()
"""


def test_spark_tasks_see_the_gpu_of_their_node(runtime: LocalRuntime) -> None:
    topology = runtime.make_topology("shared", 2, 1)
    runtime.start(topology, (SPARK_MASTER, SPARK_WORKER))
    assert _said(SPARK_DRIVER, str(runtime.topology_file)) == f"{[SHARED, SHARED]}\n"


def test_a_driver_sees_none(tmp_path: Path) -> None:
    code = (
        "import os, sys; from experiments.runner import command, drive;"
        "drive.drive = lambda _: print(repr(os.environ['CUDA_VISIBLE_DEVICES']));"
        "sys.exit(command.drive_command([sys.argv[1]]))"
    )
    assert _said(code, str(tmp_path)) == "''\n"


def _said(code: str, argument: str) -> str:
    """What a process says that could see all GPUs."""
    done = subprocess.run(
        [PYTHON, "-c", code, argument],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), VISIBLE_VARIABLE: "0,1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout
