"""What is inside the images of this checkout; skipped where no engine holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from experiments.runtime import image_names as names
from experiments.runtime import images
from tests.runtime.engine import engine, needs_engine

pytestmark = needs_engine

FACTS = """
import json, os, pathlib, subprocess
from experiments.cli.environment import Environment
from experiments.paths import LOCKS
made = pathlib.Path("/opt/cerebro-ds")
standing = [name for name in LOCKS if Environment(made, name).stands()]
keys = [str(p) for top in ("/etc", "/opt/cerebro-ds/bundle", "/root", "/tmp", "/var")
        for p in pathlib.Path(top).rglob("*")
        if p.suffix in {".key", ".deb", ".whl"} or p.name in {"pip.conf", ".netrc", "auth.json"}]
try:
    pathlib.Path("/opt/cerebro-ds/new").touch()
    writable = True
except OSError:
    writable = False
closed = subprocess.run(["find", made, "!", "-readable"], capture_output=True, text=True).stdout
pathlib.Path("/tmp/new").touch()
print(json.dumps({"user": os.getuid(), "standing": standing, "keys": keys, "writable": writable,
                  "closed": closed}))
"""
SERVER = """
import json
from experiments.warehouse.tree import server_tree
tree = server_tree()
print(json.dumps([str(tree.root), tree.python_path, (tree.bin / "postgres").exists()]))
"""
HEALTH = """
import os, socket, subprocess, sys
test = sys.argv[1:]
with socket.create_server(("127.0.0.1", 0)) as server:
    there = f"127.0.0.1:{server.getsockname()[1]}"
    print(*(subprocess.run(test, stderr=-3, env={**os.environ, "CEREBRO_DS_ENDPOINT": e}).returncode
            for e in ("", there, "127.0.0.1:1")))
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with engine() as client:
        if lacking := images.missing(client, names.IMAGES):
            pytest.skip(f"no image {', '.join(lacking)} of this revision: run images/build")
        yield client


def run(client: Any, image: str, *command: str, user: str | None = None) -> str:
    """What a command prints in a container as strict as the runtimes make them."""
    output: bytes = client.containers.run(
        names.reference(image),
        list(command),
        entrypoint=["python", "-P", "-c"],
        read_only=True,
        tmpfs={"/tmp": "size=64m"},
        network_mode="none",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        user=user,
        labels={names.OURS_LABEL: "1"},
        remove=True,
    )
    return output.decode()


@pytest.mark.parametrize(
    ("image", "user"),
    [
        ("segment", "12345:12345"),
        ("spark", "12345:12345"),
        ("worker", "10001:10001"),
        ("experiment", "12345:12345"),
    ],
)
def test_runs_read_only_without_rights(client: Any, image: str, user: str) -> None:
    facts = json.loads(run(client, image, FACTS, user=user))
    legacy = ["cerebro-dl"] if image == "experiment" else []
    assert facts == {
        "user": int(user.partition(":")[0]),
        "standing": ["main", *legacy],
        "keys": [],
        "writable": False,
        "closed": "",
    }


def test_the_segment_has_its_server_tree(client: Any) -> None:
    root, path, there = json.loads(run(client, "segment", SERVER))
    assert root.startswith("/opt/cerebro-ds/servers/")
    assert ":/opt/cerebro-ds/code/" in path
    assert there


def test_health_is_whether_the_endpoint_answers(client: Any) -> None:
    config = client.api.inspect_image(names.reference("worker"))["Config"]
    kind, *test = config["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert run(client, "worker", HEALTH, *test).split() == ["0", "0", "1"]


def test_images_share_the_layers_of_base(client: Any) -> None:
    layers = {
        image: client.api.inspect_image(names.reference(image))["RootFS"]["Layers"]
        for image in names.IMAGES
    }
    for image in names.IMAGES:
        assert layers[image][: len(layers["base"])] == layers["base"]
    shared = len(layers["base"]) + 1
    assert layers["spark"][:shared] == layers["experiment"][:shared]


def test_says_what_it_is(client: Any) -> None:
    for image in names.IMAGES:
        config = client.api.inspect_image(names.reference(image))["Config"]
        assert config["User"] == "10001:10001"
        assert config["Labels"][names.REVISION_LABEL] == names.tag(image)
        assert config["Labels"][names.TITLE_LABEL] == f"cerebro-ds/{image}"
    segment = client.api.inspect_image(names.reference("segment"))["Config"]
    assert segment["StopSignal"] == "SIGINT"
