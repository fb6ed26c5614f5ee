"""What this machine has and lacks, each with how to mend it (``--doctor``).

Standard library only at import and free of syntax newer than Python 3.8: ``reproduce.py`` asks
the same questions before the environment stands, and ``--doctor`` answers where it never can.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from experiments import java, nvidia, paths
from experiments.cli import environment, machine
from experiments.errors import EnvironmentFault

MEMORY_BYTES = 8 * 10**9
DOCKER_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True)
class Check:
    """One answer: its subject, ``ok``, ``warn`` or ``fail``, what was found, how to mend it."""

    name: str
    state: str
    found: str
    mend: str = ""


def _platform() -> Check:
    found = machine.os_release().get("PRETTY_NAME", os.uname().sysname) + f", {os.uname().machine}"
    problem = machine.platform_problem()
    return Check(
        "platform", "fail" if problem else "ok", problem or found, problem and machine.ELSEWHERE
    )


def _packages() -> Check:
    lacking = machine.missing_packages()
    if not lacking:
        return Check("Debian packages", "ok", "PostgreSQL 15, PL/Python, venv and data are there")
    mend = machine.apt_line(lacking)
    if os.geteuid() == 0:
        return Check("Debian packages", "warn", f"{len(lacking)} missing; installed when run", mend)
    return Check("Debian packages", "fail", "missing: " + ", ".join(lacking), mend)


def _plpython() -> Check:
    version = machine.plpython_version()
    if not version:
        return Check(
            "PL/Python", "warn", f"no {machine.PLPYTHON}", "comes with the Debian packages above"
        )
    if version != machine.PYTHON:
        return Check(
            "PL/Python",
            "fail",
            f"linked to {version}, locks are {machine.PYTHON}",
            machine.ELSEWHERE,
        )
    if not Path(f"/usr/bin/python{version}").exists():
        mend = machine.apt_line([f"python{version}-venv"])
        return Check("PL/Python", "fail", f"no /usr/bin/python{version} beside it", mend)
    return Check("PL/Python", "ok", f"linked to /usr/bin/python{version}")


def _java() -> Check:
    try:
        home = java.home()
    except EnvironmentFault as fault:
        reason, _, mend = str(fault).partition(": ")
        return Check("Java", "warn", f"{reason} (only experiments with Spark need it)", mend)
    return Check("Java", "ok", f"Java {java.version(home)} in {home}, for Spark")


def _environment() -> Check:
    home = environment.standard()
    problem = home.problem()
    if problem:
        return Check("environment", "warn", f"{home.root}: {problem}", "any other command makes it")
    return Check("environment", "ok", f"{len(home.versions())} packages in {home.root}")


def _beside() -> Check:
    names = [name for name in paths.LOCKS if name != paths.MAIN_ENVIRONMENT]
    homes = {name: environment.standard(name) for name in names}
    said = [f"{name}: {home.problem() or home.root}" for name, home in homes.items()]
    return Check("beside it", "ok", "; ".join(said) + " (made when a run needs it)")


def _memory() -> Check:
    info = Path("/proc/meminfo").read_text(encoding="ascii")
    found = re.search(r"MemAvailable:\s+(\d+) kB", info)
    size = int(found.group(1)) * 1024 if found else 0
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and limit.read_text(encoding="ascii").strip().isdigit():
        size = min(size, int(limit.read_text(encoding="ascii")))
    if size < MEMORY_BYTES:
        mend = "close other programs, or use --scale smoke and fewer --workers"
        return Check("memory", "warn", f"{size / 1e9:.1f} GB available, 8 GB wanted", mend)
    return Check("memory", "ok", f"{size / 1e9:.1f} GB available")


def _disk() -> Check:
    root = paths.state_root()
    free = machine.free_bytes(root.absolute())
    if free < machine.DISK_BYTES:
        mend = f"make room there, or set {paths.STATE_VARIABLE} to a folder on a larger disk"
        return Check("disk", "fail", f"{free / 1e9:.1f} GB free in {root}, 8 GB needed", mend)
    return Check("disk", "ok", f"{free / 1e9:.1f} GB free in {root}")


def _ports() -> Check:
    try:
        with socket.socket() as first, socket.socket() as second:
            for endpoint in (first, second):
                endpoint.bind(("127.0.0.1", 0))
                endpoint.listen()
            with socket.create_connection(first.getsockname(), timeout=2):
                pass
    except OSError as error:
        mend = "bring the loopback interface up and allow local connections"
        return Check("ports", "fail", f"127.0.0.1: {error.strerror or error}", mend)
    return Check("ports", "ok", "servers can listen on 127.0.0.1")


def _state() -> Check:
    root = paths.state_root().absolute()
    closed = machine.closed_to_others(root) if os.geteuid() == 0 else ""
    if closed:
        mend = f"chmod o+x {closed}, or set {paths.STATE_VARIABLE} to a folder outside it"
        return Check("state folder", "fail", f"the servers' user may not enter {closed}", mend)
    nearest = root
    while not nearest.exists():
        nearest = nearest.parent
    if not os.access(nearest, os.W_OK | os.X_OK):
        mend = f"set {paths.STATE_VARIABLE} to a folder of yours"
        return Check("state folder", "warn", f"you may not write to {nearest}", mend)
    return Check("state folder", "ok", f"{root}, which the servers' user can read")


def _dataset() -> Check:
    files = sorted(machine.FASHION_MNIST.glob("*-ubyte.gz"))
    if len(files) == 4:
        return Check("data set", "ok", f"Fashion-MNIST in {machine.FASHION_MNIST}")
    mend = machine.apt_line(["dataset-fashion-mnist"])
    return Check("data set", "warn", f"{len(files)} of 4 files in {machine.FASHION_MNIST}", mend)


def _docker() -> Check:
    fallback = "nothing to do: the local runtime will be used"
    try:
        if "DOCKER_HOST" not in os.environ:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(2)
                probe.connect(DOCKER_SOCKET)
        version = _docker_version()
    except PermissionError:
        return Check("Docker", "warn", f"no permission on {DOCKER_SOCKET}", fallback)
    except OSError:
        return Check("Docker", "warn", "no engine answers", fallback)
    told = f"engine {version} answers".replace("  ", " ")
    return Check("Docker", "ok", f"{told}; {_images()}" if version else told)


def _images() -> str:
    from contextlib import closing

    from experiments.runtime import engine, images

    try:
        with closing(engine.connect()) as client:
            unfit = engine.unfit(client)
            lacking = images.missing(client, images.IMAGES)
    except EnvironmentFault as fault:
        return str(fault)
    if unfit:
        return f"not used: {unfit}"
    if lacking:
        return f"its images of this checkout lack {', '.join(lacking)} (made when run)"
    return "it has the images of this checkout"


def _docker_version() -> str:
    """The engine's version, empty where the Docker SDK cannot be imported to ask for it."""
    try:
        import docker
    except ImportError:
        return ""
    try:
        client = docker.from_env(timeout=3)
        try:
            return str(client.version()["Version"])
        finally:
            client.close()
    except docker.errors.DockerException as error:
        raise OSError(str(error)) from error


def _gpu() -> Check:
    found = nvidia.find()
    names = [f"{gpu.name} ({gpu.memory_bytes / 1e9:.0f} GB)" for gpu in found.gpus]
    said = ", ".join(names) or "no GPU: runs on CPU"
    if found.reason:
        said = f"{said} ({found.reason})"
    if found.broken:
        mend = "nvidia-smi tells more; install the driver anew, or do without: it all runs on CPU"
        return Check("GPU", "warn", said, mend)
    if found.gpus:
        from experiments.runtime.gpus import cpu_builds

        said = "; ".join([said, *(f"{name}'s build is for CPUs" for name in cpu_builds())])
    return Check("GPU", "ok", said)


def _clock() -> Check:
    newest = max(file.stat().st_mtime for file in (paths.CHECKOUT / "images/locks").iterdir())
    if time.time() < newest - 300:
        mend = "set the system's clock, for example with timedatectl set-ntp true"
        return Check("clock", "fail", f"{time.ctime()} is before this checkout was made", mend)
    step = time.get_clock_info("monotonic").resolution
    return Check("clock", "ok", f"{time.strftime('%Y-%m-%d %H:%M:%S %Z')}, steps of {step:.0e} s")


def checks() -> list[Check]:
    """Every check, in the order of a table; never raises."""
    questions: list[tuple[str, Callable[[], Check]]] = [
        ("platform", _platform),
        ("Debian packages", _packages),
        ("PL/Python", _plpython),
        ("Java", _java),
        ("environment", _environment),
        ("beside it", _beside),
        ("memory", _memory),
        ("disk", _disk),
        ("ports", _ports),
        ("state folder", _state),
        ("data set", _dataset),
        ("Docker", _docker),
        ("GPU", _gpu),
        ("clock", _clock),
    ]
    return [_ask(name, question) for name, question in questions]


def _ask(name: str, question: Callable[[], Check]) -> Check:
    try:
        return question()
    except Exception as error:  # noqa: BLE001 - one question without an answer must not hide others
        return Check(name, "warn", f"cannot be told: {error!r}")


def render(found: Sequence[Check], as_json: bool = False) -> str:
    """A plain table, one line per check and one below it where there is something to mend; or JSON.

    Parameters
    ----------
    as_json
        A list of objects with the fields of :class:`Check` instead of the table.
    """
    if as_json:
        return json.dumps([asdict(check) for check in found], indent=2)
    width = max(len(check.name) for check in found)
    rows = []
    for check in found:
        rows.append(f"{check.state:<4}  {check.name:<{width}}  {check.found}")
        if check.mend:
            rows.append(f"{'':<4}  {'':<{width}}  -> {check.mend}")
    return "\n".join(rows)


def exit_code(found: Sequence[Check]) -> int:
    """2 when a check failed, else 0."""
    return 2 if any(check.state == "fail" for check in found) else 0
