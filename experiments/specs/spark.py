"""Addresses of Spark clusters that exist, as ``--spark-master`` takes them."""

from __future__ import annotations

import os
import re

from experiments.errors import SpecError

FORMS = "spark://HOST:PORT, yarn or k8s://HOST:PORT"
YARN_VARIABLES = ("HADOOP_CONF_DIR", "YARN_CONF_DIR")
_HOST = r"[\w.\-]+|\[[0-9a-fA-F:]+\]"
_STANDALONE = re.compile(rf"spark://(?:{_HOST}):\d+(?:,(?:{_HOST}):\d+)*")
_KUBERNETES = re.compile(rf"k8s://(?:https?://)?(?:{_HOST})(?::\d+)?")


def check_address(url: str) -> None:
    """Refuse what is no address of a cluster; an empty one means a cluster of our own.

    Raises
    ------
    SpecError
        Another form, a port that is none, or YARN without its settings.
    """
    if url == "yarn":
        if not any(os.environ.get(name) for name in YARN_VARIABLES):
            raise SpecError(
                f"--spark-master yarn: set {' or '.join(YARN_VARIABLES)} to the folder of the "
                "cluster's settings"
            )
    elif url and not _STANDALONE.fullmatch(url) and not _KUBERNETES.fullmatch(url):
        raise SpecError(f"--spark-master {url}: expected {FORMS}")
    for host, port in endpoints(url):
        if not 1 <= port <= 65535:
            raise SpecError(f"--spark-master {url}: {host} has no port {port}")


def endpoints(url: str) -> list[tuple[str, int]]:
    """Host and port of every master that an address names; none for ``yarn``."""
    scheme, _, rest = url.partition("://")
    if scheme not in {"spark", "k8s"}:
        return []
    plain = rest.startswith("http://")
    rest = rest.removeprefix("https://").removeprefix("http://")
    found = []
    for each in rest.split(","):
        host, port = re.fullmatch(r"(.*?)(?::(\d+))?", each).groups()  # type: ignore[union-attr]
        default = 80 if plain else 443
        found.append((host.strip("[]"), int(port) if port else default))
    return found
