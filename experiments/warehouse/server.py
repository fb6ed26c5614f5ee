"""The database roles: a coordinator or a segment is one PostgreSQL instance in the foreground.

:func:`serve` makes the data folder if it is not there, drops root, writes the settings and turns
this process into ``postgres``, so that a container's signals and a supervisor's reach it directly.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from experiments.errors import EnvironmentFault
from experiments.lifetime import die_with_parent
from experiments.specs.topology import CACHE_BYTES_VARIABLE
from experiments.warehouse.tree import ServerTree, server_tree

SUPERUSER = "cerebro"
DATABASE = "postgres"
MODEL_STORE_VARIABLE = "CEREBRO_DS_STORES"

SETTINGS: Mapping[str, str] = {
    # A costly-looking plan would load LLVM, and TensorFlow in the same process then dies.
    "jit": "off",
    "enable_partitionwise_aggregate": "on",
    "enable_partitionwise_join": "on",
    # Training needs one long-lived process per segment, never fresh parallel workers.
    "max_parallel_workers_per_gather": "0",
    "synchronize_seqscans": "off",
    # A query whose asker was killed would train on for nobody, beside the one that comes after it.
    "client_connection_check_interval": "'500ms'",
    # Model states come and go by the gigabyte.
    "autovacuum_naptime": "'10s'",
    "default_toast_compression": "lz4",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    # A killed process loses nothing. A machine that loses power does: these clusters are made from
    # data sets on disk and can be made again, by --fresh.
    "fsync": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "password_encryption": "'scram-sha-256'",
    "unix_socket_directories": "''",
    "log_line_prefix": "'%m [%p] '",
    "log_timezone": "'UTC'",
    "timezone": "'UTC'",
}

MALLOC: Mapping[str, str] = {
    # Values of tens of megabytes are otherwise mapped and unmapped on every access.
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}


def serve(
    *,
    role: str,
    data: Path,
    address: str,
    port: int,
    password: str,
    user: str | None,
    stores: Path,
    cache_bytes: int,
    client_networks: tuple[str, ...] = ("127.0.0.1/32",),
) -> None:
    """Become the database server of one node. Does not return.

    Parameters
    ----------
    role : ``coordinator`` or ``segment``; names the folder below ``data``.
    data : the node's data folder; the instance lives in ``data / role``.
    password : the superuser's, kept by the server as a SCRAM verifier only.
    user : unprivileged user to run as when started by root, else None.
    stores : folder below which model states may be read and written.
    cache_bytes : bound on decoded buffers kept in a backend.
    client_networks : CIDR ranges that may connect, with SCRAM.

    Raises
    ------
    EnvironmentFault
        A missing package, an unknown user or somebody else's data folder.
    """
    tree = server_tree()
    folder = data / role
    account = _account(user)
    _own_folder(data, account)
    if account:
        _become(account)  # from here on, for what follows writes where that user may make links
    if folder.exists() and folder.stat().st_uid != os.geteuid():
        owner = account.pw_name if account else str(os.geteuid())
        raise EnvironmentFault(
            f"{folder} belongs to another user: chown -R {owner} {folder}, or --fresh starts over"
        )
    if not (folder / "PG_VERSION").exists():
        _initialise(tree, folder, password)
    _configure(folder, address, port, client_networks)
    _remove_torn_lock(folder)
    environment = {
        **os.environ,
        **MALLOC,
        "PYTHONPATH": tree.python_path,
        "PYTHONDONTWRITEBYTECODE": "1",
        MODEL_STORE_VARIABLE: str(stores),
        CACHE_BYTES_VARIABLE: str(cache_bytes),
    }
    if account:
        environment.update(HOME=str(folder), USER=account.pw_name, LOGNAME=account.pw_name)
    os.chdir(folder)
    # An immediate shutdown: a fast one never ends when it meets recovery from a crashed backend,
    # for PostgreSQL 15 then waits for a checkpointer that it has not told to go.
    die_with_parent(signal.SIGQUIT)
    executable = str(tree.bin / "postgres")
    os.execve(executable, [executable, "-D", str(folder)], environment)


def _account(user: str | None) -> pwd.struct_passwd | None:
    if user is None or os.geteuid() != 0:
        if os.geteuid() == 0:
            raise EnvironmentFault("PostgreSQL refuses to run as root: name an unprivileged user")
        return None
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise EnvironmentFault(
            f"user {user!r} does not exist: apt-get install postgresql-15 makes it"
        ) from None


def _own_folder(folder: Path, account: pwd.struct_passwd | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)


def _initialise(tree: ServerTree, folder: Path, password: str) -> None:
    """``initdb`` beside the final place, then a rename: a killed start leaves no half instance."""
    aside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    secret = folder.with_name(f".{folder.name}.secret")
    secret.unlink(missing_ok=True)
    descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, password.encode())
        os.close(descriptor)
        done = subprocess.run(
            [
                tree.bin / "initdb",
                f"--pgdata={aside}",
                f"--username={SUPERUSER}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--no-instructions",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        secret.unlink(missing_ok=True)
    if done.returncode != 0:
        raise EnvironmentFault(f"initdb failed in {folder.parent}: {done.stderr.strip()}")
    aside.rename(folder)


def _configure(folder: Path, address: str, port: int, networks: tuple[str, ...]) -> None:
    settings = {**SETTINGS, "listen_addresses": f"'{address}'", "port": str(port)}
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    access = "".join(f"host all all {network} scram-sha-256\n" for network in networks)
    for name, text in (("postgresql.conf", lines), ("pg_hba.conf", access)):
        path = folder / name
        path.write_text(text)
        path.chmod(0o600)


def _remove_torn_lock(folder: Path) -> None:
    """A server killed as it made its lock file leaves it empty, and no other would start then.

    Whoever starts this role has seen to it that none runs here.
    """
    lock = folder / "postmaster.pid"
    if lock.exists() and lock.stat().st_size == 0:
        lock.unlink()


def _become(account: pwd.struct_passwd) -> None:
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
