"""Hosts for Ansible to work on: containers with sshd and addresses, on a network of their own.

They share this machine's engine, whose socket they see, or have an engine of their own. Their image
is made once, on the Debian under our own images, and kept in the engine under a label.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from experiments.errors import EnvironmentFault
from experiments.runtime import engine, image_base

LABEL = "cerebro-ds-test"
PACKAGES = (
    *("openssh-server", "sudo", "python3", "python3-apt", "python3-requests"),
    *("iproute2", "nftables", "ca-certificates"),
)
USER = "tester"
ENGINE_RIGHTS = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_NICE")
"""What an engine needs beside what every container may. All rights are not to be had everywhere."""
SETUP = """set -e
groupadd --gid "$SOCKET_GROUP" --non-unique engine
useradd --create-home --shell /bin/bash --groups engine tester
echo "tester:$PASSWORD" | chpasswd
echo "tester ALL=(ALL) ALL" > /etc/sudoers.d/tester
install -d -m 0700 -o tester -g tester /home/tester/.ssh
echo "$KEY" > /home/tester/.ssh/authorized_keys
rm -f /etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
mkdir -p /run/sshd
if [ "$OWN_ENGINE" = True ]; then
  umount /proc/sys
  mount -o remount,rw /sys
  # Its start would raise limits, for which this container may lack the right.
  echo "ulimit() { :; }" > /etc/default/docker
fi
exec /usr/sbin/sshd -D -e
"""


@dataclass(frozen=True)
class Hosts:
    """Hosts that answer over SSH.

    Attributes
    ----------
    folder : with the key, the known hosts and whatever a test keeps there.
    password : of the user for sudo.
    """

    client: Any
    network: Any
    folder: Path
    password: str
    containers: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def known(self) -> Path:
        return self.folder / "known_hosts"

    def start(self, name: str, *, own_engine: bool = False) -> str:
        """Start a host; its address."""
        socket = engine.SOCKET
        shared: Mapping[str, Any] = {
            "volumes": [f"{socket}:{socket}", f"{shutil.which('docker')}:/usr/bin/docker:ro"],
        }
        apart: Mapping[str, Any] = {
            "volumes": ["/var/lib/docker", "/sys/fs/cgroup:/sys/fs/cgroup"],
            "cap_add": ENGINE_RIGHTS,
            "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
            "device_cgroup_rules": ["a *:* rwm"],
        }
        self.containers[name] = self.client.containers.create(
            host_image(self.client),
            ["bash", "-c", SETUP],
            name=f"{LABEL}-{self.folder.name}-{name}",
            hostname=name,
            init=True,
            network=self.network.name,
            labels={LABEL: "1"},
            environment={
                "SOCKET_GROUP": str(os.stat(socket).st_gid),
                "OWN_ENGINE": str(own_engine),
                "PASSWORD": self.password,
                "KEY": self.key.with_suffix(".pub").read_text(),
            },
            **(apart if own_engine else shared),
        )
        self.containers[name].start()
        address = self.address(name)
        for _ in range(200):
            done = self.run(name, "cat /etc/ssh/ssh_host_ed25519_key.pub; ss -Hltn sport = :22")
            if "ssh-ed25519" in done and "LISTEN" in done:
                break
        with self.known.open("a") as file:
            file.write(f"{address} {done.splitlines()[0]}\n")
        return address

    def address(self, name: str) -> str:
        self.containers[name].reload()
        networks = self.containers[name].attrs["NetworkSettings"]["Networks"]
        return str(networks[self.network.name]["IPAddress"])

    def run(self, name: str, script: str) -> str:
        """What a shell of root's on a host says to a script."""
        done = self.containers[name].exec_run(["bash", "-c", script])
        return str(done.output.decode())

    def listen(self, name: str, port: int) -> None:
        """Have something listen on a port of a host."""
        self.run(
            name,
            f"setsid python3 -m http.server {port} > /dev/null 2>&1 < /dev/null & "
            f"until ss -Hltn sport = :{port} | grep -q .; do sleep 0.1; done",
        )

    def end(self, name: str) -> None:
        self.containers.pop(name).remove(force=True, v=True)

    def access(self, name: str) -> dict[str, Any]:
        """Variables of an inventory that reach a host."""
        return {
            "ansible_host": self.address(name),
            "ansible_user": USER,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.known}",
        }


@contextlib.contextmanager
def some_hosts() -> Iterator[Hosts]:
    """A network for hosts, which go with it at the end."""
    if lacking := [name for name in ("ssh", "ssh-keygen", "docker") if not shutil.which(name)]:
        pytest.skip(f"hosts over SSH need {', '.join(lacking)} here")
    try:
        client = engine.connect()
    except EnvironmentFault as fault:
        pytest.skip(str(fault))
    folder = Path(tempfile.mkdtemp(prefix="hosts-"))
    name = f"{LABEL}-{folder.name}"
    with contextlib.closing(client):
        network = client.networks.create(name, driver="bridge", labels={LABEL: "1"})
        made = Hosts(client, network, folder, secrets.token_hex(8))
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made.key)], check=True
        )
        try:
            yield made
        finally:
            for host in list(made.containers):
                made.end(host)
            network.remove()
            shutil.rmtree(folder)


def host_image(client: Any) -> str:
    """The image of hosts, which is made if this engine has none yet."""
    recipe = (
        f"FROM {image_base.DEBIAN}\n"
        "COPY cerebro-ds.list /etc/apt/sources.list.d/\n"
        "RUN apt-get update -qq \\\n"
        " && apt-get install -qq --no-install-recommends "
        f"{' '.join(PACKAGES)} > /dev/null\n"
    )
    name = f"{LABEL}/host:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with contextlib.suppress(docker.errors.ImageNotFound):
        client.images.get(name)
        return name
    image_base.ensure_debian(client, "", print)
    sources = "".join(
        f"deb [signed-by={image_base.KEYRING}] {each.scheme}://{each.address} {each.suite} main\n"
        for each in image_base.sources()
    )
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for path, text in (("Dockerfile", recipe), ("cerebro-ds.list", sources)):
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    context.seek(0)
    try:
        client.images.build(
            fileobj=context,
            custom_context=True,
            tag=name,
            rm=True,
            forcerm=True,
            labels={LABEL: "1"},
        )
    except docker.errors.BuildError as error:
        pytest.skip(f"the image of hosts cannot be made: {error}")
    return name
