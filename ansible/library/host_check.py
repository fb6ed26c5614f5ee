"""Looks at a host before anything is changed on it; fails with one line that says what to mend.

Standard library only, for whatever Python 3 the host has.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule

DRIVER = "/dev/nvidiactl"
TOOLKIT = ("nvidia-container-runtime-hook", "nvidia-container-toolkit")
ARGUMENTS = {
    "now": {"type": "float", "required": True},
    "clock_seconds": {"type": "float", "required": True},
    "cluster": {"type": "str", "required": True},
    "owner": {"type": "str", "required": True},
    "nodes": {"type": "list", "elements": "dict", "required": True},
    "ports": {"type": "bool", "required": True},
    "folders": {"type": "bool", "required": True},
    "free_gigabytes": {"type": "float", "required": True},
    "gpus": {"type": "raw", "required": True},
    "toolkit_source": {"type": "str", "default": ""},
}


def said(*command):
    """What a command prints; empty when it is not there or fails."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


def clock_problem(now, bound):
    off = time.time() - now
    if abs(off) <= bound:
        return ""
    way = "ahead of" if off > 0 else "behind"
    return (
        f"its clock is {abs(off):.0f} s {way} this machine's and {bound:.0f} s are allowed: "
        "set it (timedatectl set-ntp true), or raise cluster_clock_seconds"
    )


def engine_problem(cluster, owner):
    """A cluster of this name that somebody else made, or one that a run is using."""
    ours = f"label=cerebro-ds.cluster={cluster}"
    form = '{{.Label "cerebro-ds.owner"}}'
    owners = said("docker", "ps", "--all", "--filter", ours, "--format", form).splitlines()
    others = sorted({*owners} - {owner})
    if others:
        return (
            f"it has a cluster {cluster} that was made from the state folder {others[0]}: tear "
            "that down from there, or choose another cluster_name"
        )
    if said("docker", "ps", "--quiet", "--filter", ours, "--filter", "name=-driver$"):
        return f"a run uses the cluster {cluster}: wait until it has ended, or stop it"
    return ""


def port_problem(nodes, cluster):
    """Ports that our own running roles have are no problem."""
    ours = f"label=cerebro-ds.cluster={cluster}"
    if said("docker", "ps", "--quiet", "--filter", ours):
        return ""
    for node in nodes:
        for role, port in sorted(node["ports"].items()):
            with socket.socket() as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    server.bind((node["address"], port))
                except OSError as error:
                    where = f"{role} on node {node['number']}"
                    if error.errno == errno.EADDRINUSE:
                        return (
                            f"port {port} of {node['address']}, for the {where}, is taken: end "
                            "what listens there, or change cluster_first_port"
                        )
                    return (
                        f"{node['address']} is no address of this host ({error.strerror}): "
                        "set its cluster_address"
                    )
    return ""


def folder_problem(nodes, gigabytes):
    for node in nodes:
        folder = node["folder"]
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if not os.path.isdir(folder):
            return f"{folder}, for node {node['number']}, is no folder: change cluster_folders"
        free = shutil.disk_usage(folder).free / 1e9
        if free < gigabytes:
            return (
                f"{free:.1f} GB are free in {folder}, for node {node['number']}, and "
                f"{gigabytes:.0f} are wanted: make room, change cluster_folders, or lower "
                "cluster_free_gigabytes"
            )
    return ""


def has_toolkit():
    return any(shutil.which(name) for name in TOOLKIT)


def gpu_problem(gpus, found, source):
    """A driver without a way to give containers its GPUs, or GPUs that are not there."""
    named = [] if gpus == "auto" else list(gpus or [])
    there = os.path.exists(DRIVER)
    if gpus != "auto" and not named:
        return ""
    missing = sorted(set(named) - set(found))
    if missing:
        return (
            f"it has no GPU {missing[0]} (nvidia-smi names {', '.join(found) or 'none'}): "
            "change cluster_gpus"
        )
    if not there and not found:
        return ""
    if there and not found:
        return (
            "it has an NVIDIA driver and nvidia-smi finds no GPU: mend the driver, or set "
            "cluster_gpus: [] for this host"
        )
    offered = said("apt-cache", "policy", "nvidia-container-toolkit")
    known = "Candidate:" in offered and "(none)" not in offered
    if has_toolkit() or source or known:
        return ""
    return (
        f"it has {len(found)} GPU{'s' if len(found) > 1 else ''} and not the NVIDIA container "
        "toolkit: install nvidia-container-toolkit, name its repository in "
        "nvidia_toolkit_repository, or set cluster_gpus: [] for this host"
    )


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    wanted = module.params
    problem = clock_problem(wanted["now"], wanted["clock_seconds"])
    problem = problem or engine_problem(wanted["cluster"], wanted["owner"])
    if wanted["ports"]:
        problem = problem or port_problem(wanted["nodes"], wanted["cluster"])
    if wanted["folders"]:
        problem = problem or folder_problem(wanted["nodes"], wanted["free_gigabytes"])
    gpus = said("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader").split()
    problem = problem or gpu_problem(wanted["gpus"], gpus, wanted["toolkit_source"])
    if problem:
        module.fail_json(msg=problem)
    module.exit_json(changed=False, gpus=gpus, toolkit=has_toolkit())


if __name__ == "__main__":
    main()
