"""Make the locked environment, and install the Debian packages it stands on.

Standard library only and free of syntax newer than Python 3.8: ``reproduce.py`` runs this before
the environment stands, whatever ``python3`` started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from experiments import nvidia
from experiments.cli import environment, machine
from experiments.errors import EnvironmentFault
from experiments.paths import STATE_VARIABLE

APT_SETTING = Path("/etc/postgresql-common/createcluster.d/cerebro-ds.conf")


class Progress:
    """One line on a terminal, rewritten; elsewhere a line each 15 seconds; nothing when quiet."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.live = quiet, sys.stderr.isatty()
        self.start, self.last = time.monotonic(), float("-inf")

    def tell(self, text: str, always: bool = False) -> None:
        now = time.monotonic()
        if self.quiet or (not always and now - self.last < (0.5 if self.live else 15)):
            return
        minutes, seconds = divmod(int(now - self.start), 60)
        elapsed = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
        ends = ("\r\033[K", "\n" if always else "") if self.live else ("", "\n")
        sys.stderr.write(f"{ends[0]}{text}, {elapsed}{ends[1]}")
        sys.stderr.flush()
        self.last = now


def run(
    command: Sequence[str],
    log: Path,
    tick: Callable[[], None],
    settings: dict[str, str],
    keep: Sequence[int] = (),
) -> int:
    """Run `command` in its own session, output appended to `log`; returns its exit code.

    Left early, it is ended with all that it started. The descriptors in `keep` stay open in it, so
    that a lock is held until the last process that writes has gone, even when this one is killed.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**environment.own_settings(), **settings},
            start_new_session=True,
            pass_fds=keep,
        )
    try:
        while True:
            try:
                return child.wait(timeout=0.25)
            except subprocess.TimeoutExpired:
                tick()
    except BaseException:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
        raise


def last_error(log: Path) -> str:
    """The last line of `log` that names an error, else its last line."""
    rows = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
    named = [row for row in rows if re.match(r"E: |ERROR: |Error: ", row)]
    return (named or rows)[-1].strip()


def install_packages(packages: Sequence[str], log: Path, progress: Progress) -> None:
    """Install Debian packages, or tell the line that does. Starts no database server."""
    if os.geteuid() != 0:
        line = machine.apt_line(packages)
        raise EnvironmentFault(f"Debian packages are missing; install them with: {line}")
    text = f"Installing {len(packages)} Debian packages"

    def do(*command: str) -> int:
        settings = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        return run(command, log, lambda: progress.tell(text), settings)

    apt = ("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=120")
    install = (*apt, "install", "--no-install-recommends", *packages)
    log.write_bytes(b"")
    APT_SETTING.parent.mkdir(parents=True, exist_ok=True)
    APT_SETTING.write_text("create_main_cluster = false\n", encoding="ascii")
    try:
        do("dpkg", "--configure", "-a")
        if do(*install) != 0:
            do(*apt, "update")
            if do(*install) != 0:
                line = f"apt-get could not install {' '.join(packages)}: {last_error(log)}"
                raise EnvironmentFault(f"{line} (log: {log}); mend that, or {machine.ELSEWHERE}")
    finally:
        APT_SETTING.unlink()


def pip_install(
    home: environment.Environment, lock: Path, progress: Progress, held: int, *options: str
) -> None:
    """Install `lock`, with hashes, from wherever pip is configured to look."""
    names = environment.locked(lock.read_text(encoding="utf-8"))
    start = home.log.stat().st_size

    def tick() -> None:
        said = home.log.read_text(encoding="utf-8", errors="replace")[start:]
        done, verb = len(re.findall(r"(?m)^Collecting ", said)), "fetched"
        if "Installing collected packages" in said:
            there = {name.lower().replace("_", "-") for name in home.versions()}
            done, verb = len(names & there), "installed"
        counts = f"{min(done, len(names))} of {len(names)} packages {verb}"
        progress.tell(f"Setting up the {home.title}: {counts}")

    pip = [str(home.python), "-P", "-m", "pip", "install", "--no-deps", "--require-hashes"]
    pip += ["--no-input", "--progress-bar", "off", "--disable-pip-version-check", *options]
    settings = {"TMPDIR": str(home.scratch), "PYTHONUNBUFFERED": "1"}
    if run([*pip, "-r", str(lock)], home.log, tick, settings, [held]) != 0:
        reason = last_error(home.log)
        if re.search(r"WARNING: Retrying|Could not fetch URL", home.log.read_text("utf-8")):
            reason = f"a package index did not answer; {reason}"
        raise EnvironmentFault(f"pip could not set up the {home.title}: {reason} (log: {home.log})")


def prefer_local_torch(home: environment.Environment, progress: Progress, held: int) -> None:
    """Where there is no GPU, take the build of torch that pip is offered beside the registry.

    Left to itself, pip in hash mode takes the registry's CUDA build, several GB with what it needs:
    a folder of wheels gives no digests in advance, and files with one come first.
    """
    entry = re.search(
        r"(?m)^torch==.*(?:\n +--hash.*)+\n", home.locks[0].read_text(encoding="utf-8")
    )
    if entry is None or nvidia.DEVICE.exists():
        return
    alone = home.scratch / "torch.txt"
    alone.write_text(entry.group(), encoding="utf-8")
    with contextlib.suppress(EnvironmentFault):
        pip_install(home, alone, progress, held, "--no-index")


def wants(home: environment.Environment, lock: Path) -> bool:
    """Does the torch that was installed ask for a package of this lock (the one of CUDA)?"""
    asked = set()
    for metadata in home.site.glob("torch-*.dist-info/METADATA"):
        asked |= set(re.findall(r"(?m)^Requires-Dist: ([\w.-]+)", metadata.read_text("utf-8")))
    return not environment.locked(lock.read_text(encoding="utf-8")).isdisjoint(
        name.lower().replace("_", "-") for name in asked
    )


def make(home: environment.Environment, interpreter: Path, progress: Progress, held: int) -> None:
    """Make the environment in place, its marker last."""
    for folder in (home.root, home.scratch):
        if folder.exists():
            shutil.rmtree(str(folder))
    home.scratch.mkdir()
    home.log.write_bytes(b"")
    text = f"Setting up the {home.title}"
    venv = [str(interpreter), "-P", "-m", "venv", str(home.root)]
    if run(venv, home.log, lambda: progress.tell(text), {}, [held]) != 0:
        raise EnvironmentFault(f"{interpreter} -m venv failed: {last_error(home.log)}")
    prefer_local_torch(home, progress, held)
    first, *more = home.locks
    pip_install(home, first, progress, held)
    for lock in more:
        if wants(home, lock):
            pip_install(home, lock, progress, held)
    home.finish()
    shutil.rmtree(str(home.scratch))
    progress.tell(f"The {home.title} stands", always=True)


@contextlib.contextmanager
def alone(home: environment.Environment, progress: Progress) -> Iterator[int]:
    """Hold the environment's lock, whose descriptor it gives; one start at a time sets it up."""
    with home.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.tell(f"Another start is setting up the {home.title}: waiting", always=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def make_if_needed(home: environment.Environment, progress: Progress, held: int) -> None:
    """Make the environment unless it stands; for whoever holds its lock."""
    problem = home.problem()
    if problem:
        progress.tell(f"Setting up the {home.title} in {home.root} ({problem})", always=True)
        make(home, Path(f"/usr/bin/python{machine.PYTHON}"), progress, held)


def add(home: environment.Environment, progress: Progress) -> None:
    """Make an environment that stands beside the main one, on which a run depends.

    Raises
    ------
    EnvironmentFault
        There is too little disk, or pip cannot set it up.
    """
    if home.stands():
        return
    _check_disk(home, machine.BESIDE_BYTES)
    problem = machine.folder_problem(home.root.parent, STATE_VARIABLE)
    if problem:
        raise EnvironmentFault(problem)
    with alone(home, progress) as held:
        make_if_needed(home, progress, held)


def _check_disk(home: environment.Environment, needed: int) -> None:
    free = machine.free_bytes(home.state)
    if free < needed:
        raise EnvironmentFault(
            f"{free / 1e9:.1f} GB are free in {home.state} and the {home.title} needs "
            f"{needed / 1e9:.0f} GB: make room, or set {STATE_VARIABLE} to a folder on a "
            "larger disk"
        )


def set_up(home: environment.Environment, progress: Progress) -> None:
    """Install what is missing and make the environment, one start at a time.

    Raises
    ------
    UserError
        What the user can mend, in one line.
    """
    unfit = machine.platform_problem()
    if unfit:
        raise EnvironmentFault(f"{unfit}: {machine.ELSEWHERE}; --doctor tells more")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    state = home.state
    problem = machine.closed_problem(state, STATE_VARIABLE)
    if problem:
        raise EnvironmentFault(problem)
    if home.problem():
        _check_disk(home, machine.DISK_BYTES)
    problem = machine.folder_problem(home.root.parent, STATE_VARIABLE)
    if problem:
        raise EnvironmentFault(problem)
    with alone(home, progress) as held:
        lacking = machine.wanted_packages()
        if lacking:
            install_packages(lacking, home.root.parent / "apt.log", progress)
        version = machine.plpython_version()
        if version != machine.PYTHON:
            raise EnvironmentFault(
                f"PL/Python here is linked to Python {version or '(none)'} and the locks are for "
                f"{machine.PYTHON}: {machine.ELSEWHERE}"
            )
        make_if_needed(home, progress, held)
