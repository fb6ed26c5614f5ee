"""A host with an engine of its own: what is made on the host itself, and images brought to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.runtime import image_base
from tests.ansible.conftest import finish, reproduce, write_inventory
from tests.ansible.hosts import Hosts

REACH = "timeout 2 bash -c '</dev/tcp/{address}/{port}' 2> /dev/null && echo yes || echo no"


@pytest.fixture(scope="module")
def host(hosts: Hosts, tools: Path) -> Hosts:
    hosts.start("own", own_engine=True)
    hosts.start("stranger")
    return hosts


def test_engine_disks_firewall_and_images_of_a_host(host: Hosts) -> None:
    client, home = host.client, host.folder / "state"
    image_base.ensure_debian(client, "", print)
    image = client.images.get(image_base.DEBIAN).id
    wanted = {
        name: {"id": image, "reference": image_base.DEBIAN}
        for name in ("segment", "spark", "worker", "experiment")
    }
    path = write_inventory(
        host.folder / "inventory",
        "cluster.example",
        {"nodes": {"own": host.access("own")}},
        {
            "cluster_name": "tests-own",
            "cluster_storage": "folder",
            "cluster_data": "/data",
            "cluster_nodes": 1,
            "cluster_free_gigabytes": 1,
            "cluster_threads": 1,
            "cluster_shared_memory": "64m",
            "ansible_become_password": host.password,
            "images_wanted": wanted,
            # Of this host's network alone, not of the machine under it.
            "storage_settings": {"net.ipv4.tcp_keepalive_time": 7201},
        },
    )
    code, output, errors = finish(reproduce("--provision", path, home=home))
    assert code == 0, errors
    assert "cluster tests-own: 1 node on 1 host," in output

    # Its engine has the image that this machine's saved, and the containers of two nodes.
    containers = host.run("own", "docker ps --all --format '{{.Names}} {{.Status}}'").splitlines()
    assert len(containers) == 3 + 1 + 4  # on every node, its sampler among them; on node 0; holder
    assert all(line.endswith(" Created") for line in containers)
    segment = json.loads(host.run("own", "docker inspect cerebro-ds-tests-own-segment-0"))[0]
    assert segment["Image"] == image
    assert segment["HostConfig"]["ReadonlyRootfs"]
    assert segment["HostConfig"]["CapDrop"] == ["ALL"]
    assert f"CEREBRO_DS_ENDPOINT={host.address('own')}:21003" in segment["Config"]["Env"]
    holder = json.loads(host.run("own", "docker inspect cerebro-ds-tests-own-holder-0"))[0]
    assert (holder["HostConfig"]["NetworkMode"], holder["Config"]["StdinOnce"]) == ("host", True)
    owners = host.run("own", "stat -c '%u %a' /data/0/cerebro-ds-tests-own /data/0/*/worker")
    assert owners == "10001 700\n10001 700\n"
    assert host.run("own", "cat /proc/sys/net/ipv4/tcp_keepalive_time") == "7201\n"

    # Only it and SSH's port are open to others.
    host.listen("own", 21004)
    address = host.address("own")
    for name, port, reached in (
        ("own", 21004, "yes"),
        ("stranger", 21004, "no"),
        ("stranger", 22, "yes"),
    ):
        assert host.run(name, REACH.format(address=address, port=port)).strip() == reached

    code, output, errors = finish(reproduce("--provision", path, "--teardown", "--yes", home=home))
    assert code == 0, errors
    assert host.run("own", "docker ps --all --quiet; docker volume ls --quiet") == ""
    assert (
        host.run("own", "ls /data /data/0; nft list tables | grep cerebro")
        == "/data:\n0\n\n/data/0:\n"
    )
