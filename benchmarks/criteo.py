"""Criteo's click logs: encoding against the release's way, and the pipeline from packed days.

Generated days in the raw format. The release's way is written anew after what it did
(``preprocessing_criteo.py``): pandas reads the lines and fills gaps, then every value of every row
is looked at by itself, and sets a one in a dense row of 7306. Assumed of it: it finds a bucket by
NumPy's ``searchsorted``, one value at a time, and its hash, a compiled one, costs as much as
Python's own of the same string. Murmur3 written in Python is a row of its own. Ours is measured up
to the records that are kept, and up to the same dense rows.

    python3 reproduce.py --benchmark criteo [--gigabytes 6]
"""

from __future__ import annotations

import argparse
import io
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.datasets.criteo_encoding import CATEGORIES, COUNTS, CriteoEncoding
from experiments.datasets.criteo_generator import generate
from experiments.datasets.criteo_lines import CriteoLines
from experiments.datasets.criteo_logs import CriteoLogs
from experiments.datasets.delimited import Origin
from experiments.datasets.gzipped import open_gzip
from experiments.datasets.ingest import ingest
from experiments.datasets.slots import dense
from experiments.datasets.source import SPLITS
from experiments.datasets.text_windows import windows
from experiments.paths import state

ENCODING = CriteoEncoding(50, 256)
ORIGIN = Origin("generated lines", 1, "this is a bug of the generator")
BATCH = 4096
WORD = 0xFFFFFFFF


def murmur3(text: str) -> int:
    """MurmurHash3_x86_32 in Python, of at most 8 characters."""
    data = text.encode()
    value = 0
    for start in range(0, len(data) + 1, 4):
        piece = data[start : start + 4]
        word = int.from_bytes(piece, "little") * 0xCC9E2D51 & WORD
        value ^= (word << 15 | word >> 17) * 0x1B873593 & WORD
        if len(piece) == 4:
            value = ((value << 13 | value >> 19) & WORD) * 5 + 0xE6546B64 & WORD
    value ^= len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & WORD
    value = (value ^ value >> 13) * 0xC2B2AE35 & WORD
    return value ^ value >> 16


def value_by_value(text: bytes, hashed: Callable[[str], int]) -> NDArray[np.float32]:
    """The release's way: dense rows, the label last."""
    names = [f"i{i}" for i in range(COUNTS)], [f"c{i}" for i in range(CATEGORIES)]
    frame = pd.read_csv(
        io.BytesIO(text),
        sep="\t",
        header=None,
        names=["label", *names[0], *names[1]],
        dtype=dict.fromkeys(names[1], object),
    )
    frame[names[0]] = frame[names[0]].fillna(0)
    frame[names[1]] = frame[names[1]].fillna("0")
    bounds = 1.5 ** np.arange(ENCODING.buckets) - 0.51
    rows = []
    for row in frame.itertuples(index=False):
        x = np.zeros(ENCODING.columns + 1, np.float32)
        for number, value in enumerate(row[1 : 1 + COUNTS]):
            bucket = int(np.searchsorted(bounds, value, side="right")) - 1
            if bucket >= 0:
                x[number * ENCODING.buckets + bucket] = 1
        first = COUNTS * ENCODING.buckets
        for number, name in enumerate(row[1 + COUNTS :]):
            x[first + number * ENCODING.slots + hashed(name) % ENCODING.slots] = 1
        x[-1] = row[0]
        rows.append(x)
    return np.stack(rows)


def at_once(batches: list[bytes], *, to_dense: bool) -> None:
    """Ours, batch by batch."""
    for batch in batches:
        slots, _ = ENCODING.encode(batch, ORIGIN)
        if to_dense:
            for start in range(0, len(slots), 256):  # as a batch of training does
                dense(slots[start : start + 256], ENCODING.columns)


def seconds(action: Callable[[], object]) -> float:
    """Processor time of a call: other work on the machine does not count."""
    start = time.process_time()
    action()
    return time.process_time() - start


def encoding(rows: int, slow_rows: int, repeat: int) -> Iterator[str]:
    """Rows of a table: what each way makes in a second of one core."""
    lines = CriteoLines("train", 0)
    batches = [
        lines.lines(np.arange(first, min(first + BATCH, rows))) for first in range(0, rows, BATCH)
    ]
    few = lines.lines(np.arange(slow_rows))
    x = value_by_value(few, murmur3)
    slots, labels = ENCODING.encode(few, ORIGIN)
    if not (
        np.array_equal(x[:, :-1], dense(slots, ENCODING.columns))
        and np.array_equal(x[:, -1], labels)
    ):
        raise SystemExit("both ways must make the same rows")
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "value by value, compiled hash": (slow_rows, partial(value_by_value, few, hash)),
        "value by value, Murmur3 in Python": (slow_rows, partial(value_by_value, few, murmur3)),
        "ours, records": (rows, partial(at_once, batches, to_dense=False)),
        "ours, dense rows": (rows, partial(at_once, batches, to_dense=True)),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeat):
        for name, (count, action) in ways.items():
            taken[name].append(count / seconds(action))
    rates = {name: statistics.median(each) for name, each in taken.items()}
    base = next(iter(rates.values()))
    for name, rate in rates.items():
        yield f"| {name} | {rate:,.0f} | {rate / base:.1f} |"


def unpack(logs: CriteoLogs) -> int:
    """Read all days, and do nothing with them; bytes of text."""
    total = 0
    for path in sorted(logs.folder.glob("day_*.gz")):
        with open_gzip(path, "generate it again") as reader:
            for window in windows(reader, logs.window_bytes, 0):
                total = total + len(window.text)
    return total


def drain(logs: CriteoLogs) -> int:
    """Make all records, and drop them; how many."""
    with closing(logs.blocks(None)) as blocks:  # type: ignore[type-var]
        return sum(len(y) for block in blocks for _, y in block.rows.values())


def pipeline(folder: Path, rows: int, repeat: int) -> Iterator[str]:
    """Rows of a table: from packed days to records."""
    generate(folder, rows)
    base = CriteoLogs(folder, ENCODING, generated=True)
    packed, text = base.size(), unpack(base)
    ways: dict[str, Callable[[], int]] = {"unpacking alone": partial(unpack, base)}
    for fraction in (0.025, 0.25, 1.0):
        logs = CriteoLogs(folder, ENCODING, fraction=fraction, generated=True)
        ways[f"all, {fraction:.1%} of lines"] = partial(drain, logs)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    made = {}
    for _ in range(repeat):
        for name, action in ways.items():
            start, used = time.perf_counter(), time.process_time()
            made[name] = action()
            taken[name].append((time.perf_counter() - start, time.process_time() - used))
    for name, each in taken.items():
        wall, used = (statistics.median(part) for part in zip(*each, strict=True))
        records = f"{made[name] / wall:,.0f}" if name.startswith("all") else ""
        yield (
            f"| {name} | {packed / wall / 1e6:.0f} | {text / wall / 1e6:.0f} "
            f"| {text / used / 1e6:.0f} | {records} |"
        )


def grow(folder: Path, packed: int) -> None:
    """Make days of so many bytes together: each is its first gzip member, again and again."""
    days = sorted(folder.glob("day_*.gz"))
    for path in days:
        member = path.read_bytes()
        with path.open("ab") as file:
            while file.tell() < packed / len(days):
                file.write(member)


def memory(folder: Path, gigabytes: float) -> str:
    """A line: the peak memory of making records from so much."""
    logs = folder / "logs"
    generate(logs, 200_000)
    grow(logs, int(gigabytes * 1e9))
    raw = CriteoLogs(logs, ENCODING, fraction=0.025, generated=True)
    start = time.perf_counter()
    done = ingest(raw, folder / "records")
    taken, rows = time.perf_counter() - start, sum(map(done.manifest.rows, SPLITS))
    return (
        f"{raw.size() / 1e9:.1f} GB of days to {rows:,} records in {taken:.0f} s, "
        f"peak memory {peak():.0f} MiB"
    )


def peak() -> float:
    """MiB that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run and print Markdown tables."""
    parser = argparse.ArgumentParser(prog="criteo", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000, help="lines of each of three days")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--gigabytes", type=float, help="measure memory instead, with such days")
    options = parser.parse_args()
    if options.gigabytes:
        state().root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="benchmark-criteo-", dir=state().root) as folder:
            print(memory(Path(folder), options.gigabytes))
        return
    print("| days to records | packed MB/s | text MB/s | text MB a processor second | records/s |")
    print("|---|---|---|---|---|")
    home = state().root
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-criteo-", dir=home) as folder:
        for row in pipeline(Path(folder, "logs"), options.rows, options.repeat):
            print(row)
    print(f"\nPeak memory of the process up to here: {peak():.0f} MiB.\n")
    print("| encoding, one core | rows per second | over value by value |")
    print("|---|---|---|")
    for row in encoding(100_000, 2_000, options.repeat):
        print(row)


if __name__ == "__main__":
    main()
