"""ImageNet's archives to records: against decoding and scaling alone, and by other decoders.

Archives in ImageNet's layout of 500 by 375 pixel JPEGs, made of noise of several scales (about as
many bytes each as a photograph). Decoding alone has the files in memory and uses all cores.

    python3 reproduce.py --benchmark imagenet [--gigabytes 0.3]
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import resource
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.datasets.image_decoding import decode
from experiments.datasets.imagenet import SIDE, ImageNet
from experiments.datasets.imagenet_archives import TRAIN
from experiments.datasets.imagenet_generator import Images, add
from experiments.datasets.ingest import ingest
from experiments.paths import state

DISTINCT, ONE_CORE = 100, 100
ROUNDS = 3


def photograph(number: int) -> bytes:
    """A JPEG with detail at all scales."""
    rng = np.random.default_rng(number)
    pixels = np.zeros((375, 500, 3))
    for size, weight in ((4, 120), (16, 60), (64, 40), (250, 25)):
        coarse = rng.integers(0, 255, (size, size, 3), dtype=np.uint8)
        scaled = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
        pixels += weight / 255 * np.asarray(scaled)
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=92)
    return out.getvalue()


def write(folder: Path, photographs: list[bytes], size: int) -> int:
    """Archives of so many bytes; how many images they hold for training."""
    kit = Images(classes=10, train=1, valid=1)
    kit.write(folder)
    each = max(1, size // 10 // sum(map(len, photographs)) * len(photographs))
    with tarfile.open(folder / TRAIN, "w") as archive:
        for label in range(10):
            inner = folder / "class.tar"
            with tarfile.open(inner, "w") as images:
                for number in range(each):
                    add(images, f"{label}_{number}.JPEG", photographs[number % len(photographs)])
            archive.add(inner, f"{kit.wnid(label)}.tar")
            inner.unlink()
    return 10 * each


def seconds(work: Callable[[], object]) -> float:
    """Median of the rounds."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def ours(data: bytes) -> Any:
    """What the pipeline does."""
    return decode(data, SIDE).pixels


def whole(data: bytes) -> Any:
    """Pillow, decoding the whole image before it is scaled."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def opencv(data: bytes) -> Any:
    """OpenCV; the mean of the area that a pixel comes from."""
    cv2 = importlib.import_module("cv2")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def simplejpeg(data: bytes) -> Any:
    """libjpeg-turbo at a part of the size, scaled by Pillow."""
    module = importlib.import_module("simplejpeg")
    image = module.decode_jpeg(data, min_height=2 * SIDE, min_width=2 * SIDE)
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def one_core(photographs: list[bytes]) -> None:
    """Table of decoders; those that are not installed are left out."""
    reference = np.stack([whole(data) for data in photographs]).astype(int)
    print("| decode and scale, one core | images/s | ratio | mean difference in grey levels |")
    print("|---|---|---|---|")
    first = 0.0
    decoders: dict[str, Callable[[bytes], Any]] = {
        "ours: Pillow, large images at a part of their size": lambda data: (
            decode(data, SIDE).pixels
        ),
        "Pillow, whole": whole,
        "OpenCV, whole": opencv,
        "simplejpeg at a part of the size": simplejpeg,
    }
    for name, decoder in decoders.items():
        try:
            found = np.stack([decoder(data) for data in photographs])
        except ModuleNotFoundError:
            continue
        rate = len(photographs) / seconds(partial(_all, decoder, photographs))
        first = first or rate
        print(
            f"| {name} | {rate:.0f} | {rate / first:.2f} | {np.abs(found - reference).mean():.2f} |"
        )


def _all(decoder: Callable[[bytes], Any], photographs: list[bytes]) -> None:
    for data in photographs:
        decoder(data)


def pipeline(photographs: list[bytes], size: int, folder: Path) -> None:
    """Table of the whole pass against decoding alone."""
    count = write(folder / "raw", photographs, size)
    raw = ImageNet(folder / "raw", sizes=())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        work = partial(decode, side=SIDE)
        some = [photographs[number % len(photographs)] for number in range(min(count, 1000))]
        alone = len(some) / seconds(lambda: [None for _ in pool.map(work, some)])
    start = time.perf_counter()
    for _ in raw.blocks(None):
        pass
    blocks = count / (time.perf_counter() - start)
    start = time.perf_counter()
    ingest(raw, folder / "records")
    records = count / (time.perf_counter() - start)
    print(f"\n| {count:,} images, {raw.size() / 1e9:.2f} GB, all cores | images/s | ratio |")
    print("|---|---|---|")
    for name, rate in (
        ("decoding and scaling alone", alone),
        ("archives to blocks", blocks),
        ("archives to records on disk", records),
    ):
        print(f"| {name} | {rate:.0f} | {rate / alone:.2f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nPeak memory: {peak:.0f} MiB.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=0.3)
    options = parser.parse_args()
    photographs = [photograph(number) for number in range(DISTINCT)]
    state().root.mkdir(parents=True, exist_ok=True)
    one_core(photographs[:ONE_CORE])
    with tempfile.TemporaryDirectory(dir=state().root) as folder:
        pipeline(photographs, int(options.gigabytes * 1e9), Path(folder))


if __name__ == "__main__":
    main()
