"""What is in a folder of logs: which format each file has, of which run or node it is.

A file's format is told by how it begins, and by its name where that says nothing. The release's
folders are ``run_logs/<time stamp>/global.log``, ``run_logs/<time stamp>/<experiment>/*.log`` and
``{cpu,gpu,disk,network}_logs/*.log``, at any depth.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from experiments.analysis.release.text import GZIP

RESOURCES = ("cpu", "gpu", "disk", "network")
STAMP = re.compile(r"\d{4}(?:_\d\d){5}$")
_LOGS_OF = re.compile(rf"({'|'.join(RESOURCES)})_logs$")
_SNIFFED = 1 << 16

PICKLE = "pickle"
UNKNOWN = "unknown"
_PICKLES = (".pkl", ".pickle", ".dill")
_PICKLED = re.compile(rb"\x80[\x02-\x05]")
REFUSED = (
    "a pickle: reading one runs whatever its maker put into it, so none is opened; lost with it "
    "are the measures that it holds"
)

_BINARY: Mapping[bytes, str] = {
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"\x89HDF": "HDF5, not a log",
    b"\x93NUMPY": "an array of NumPy's, not a log",
    b"\xff\xfe": "UTF-16 text; the release's logs are UTF-8",
    b"\xfe\xff": "UTF-16 text; the release's logs are UTF-8",
    b"%PDF": "PDF, not a log",
    b"\x89PNG": "a picture, not a log",
}

_CONTENT: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "global",
        re.compile(r"^.+?, (?:Start time|End time|TOTAL EXECUTION TIME OVER)", re.MULTILINE),
    ),
    ("network", re.compile(r"^(?:CONTROL|EXPERIMENT)_IFACE: ", re.MULTILINE)),
    ("disk", re.compile(r"^[ \t]*Device:?[ \t]+tps[ \t]+MB_read/s", re.MULTILINE)),
    ("gpu", re.compile(r"^\d+(?:\.\d+)? %, \d+(?:\.\d+)? %, ", re.MULTILINE)),
    ("cpu", re.compile(r"^\d+(?:\.\d+)?%,\s*\d+(?:\.\d+)?%$", re.MULTILINE)),
    ("model", re.compile(r"^EPOCH: .*UNIX TIME: ", re.MULTILINE)),
    ("task", re.compile(r"^MST: .+: \d{4}-\d\d-\d\d .*(?:\n|$)(?!.*^EPOCH: )", re.MULTILINE)),
    (
        "events",
        re.compile(
            r"^(?:INFO:\s+)?(?:Start|End) .+: \d{4}-\d\d-\d\d |^TIME: \d+, EVENT: "
            r"|^CEREBRO => Time: |LEFT JOBS: ",
            re.MULTILINE,
        ),
    ),
)
_NAMES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("global", re.compile(r"global\.log")),
    ("events", re.compile(r"(?:client|scheduler|master|worker\d+)\.log")),
    ("cpu", re.compile(r"cpu_utilization_.+\.log")),
    ("gpu", re.compile(r"gpu_utilization_.+\.log")),
    ("disk", re.compile(r"disk_.+\.log")),
    ("network", re.compile(r"network_.+\.log")),
    ("model", re.compile(r"\d+\.log")),
    ("task", re.compile(r"batch_size.*\.log")),
)


@dataclass(frozen=True)
class Found:
    """One file.

    Attributes
    ----------
    path : below the folder.
    kind : one of ``global``, ``events``, ``model``, ``task``, :data:`RESOURCES`, ``pickle``,
        ``unknown``.
    place : folder above ``run_logs`` or above the logs of resources; runs there share them.
    stamp, experiment : the run's time stamp and its folder; empty where there is none.
    node : whose log it is: the file's name, or of resources its last part.
    remark : why it is not read, where it is not.
    """

    path: Path
    bytes: int
    kind: str
    place: str
    stamp: str
    experiment: str
    node: str
    remark: str

    @property
    def run(self) -> str:
        """The run's folder, as :attr:`shown`."""
        parts = [each for each in (self.place, self.stamp, self.experiment) if each]
        return os.fsencode("/".join(parts)).decode("utf-8", "backslashreplace")

    @property
    def shown(self) -> str:
        """The path in UTF-8, whatever bytes the name has."""
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")


def files(folder: Path, failed: Callable[[OSError], None]) -> Iterator[Found]:
    """Every file of the folder, in the order of names; ``failed`` is told of unreadable folders.

    Links to folders are followed, but none twice.
    """
    seen: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, onerror=failed, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        for name in sorted(names):
            yield _found(folder, Path(parent, name))


def _found(folder: Path, path: Path) -> Found:
    below = path.relative_to(folder)
    size = 0
    try:
        status = path.stat()
        size = status.st_size
        kind, remark = _kind(path, status)
    except OSError as error:
        kind, remark = UNKNOWN, f"cannot be read ({error.strerror})"
    place, stamp, experiment = _whose(below)
    node = path.name.removesuffix(".gz").removesuffix(".log")
    node = node.rsplit("_", 1)[-1] if kind in RESOURCES else node
    return Found(below, size, kind, place, stamp, experiment, node, remark)


def _whose(below: Path) -> tuple[str, str, str]:
    """Place, stamp and experiment of a file."""
    parts = below.parts[:-1]
    stamps = [number for number, part in enumerate(parts) if STAMP.match(part)]
    if stamps:
        at = stamps[-1]
        above = parts[:at]
        above = above[:-1] if above and above[-1] == "run_logs" else above
        return "/".join(above), parts[at], "/".join(parts[at + 1 :])
    logs = [number for number, part in enumerate(parts) if _LOGS_OF.match(part)]
    return "/".join(parts[: logs[-1]] if logs else parts), "", ""


def _kind(path: Path, status: os.stat_result) -> tuple[str, str]:
    if not stat.S_ISREG(status.st_mode):
        return UNKNOWN, "not a plain file"
    name = path.name.removesuffix(".gz")
    if name.endswith(_PICKLES):
        return PICKLE, REFUSED
    start = _start(path)
    if _PICKLED.match(start):
        return PICKLE, REFUSED
    for magic, remark in _BINARY.items():
        if start.startswith(magic):
            return UNKNOWN, remark
    text = start.decode("utf-8", "replace")
    kind = next((kind for kind, looks in _CONTENT if looks.search(text)), None)
    kind = kind or next((kind for kind, named in _NAMES if named.fullmatch(name)), None)
    if kind is not None:
        return kind, ""
    return UNKNOWN, "empty" if not status.st_size else "neither its name nor its content is known"


def _start(path: Path) -> bytes:
    """How a file begins, unpacked if it is gzipped."""
    with path.open("rb") as file:
        start = file.read(_SNIFFED)
    if not start.startswith(GZIP):
        return start
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(start, _SNIFFED)
    except zlib.error:
        return b""
