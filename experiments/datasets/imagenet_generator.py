"""Small archives in the format of ImageNet's, of which every byte is ours.

An image is a grating: its class decides colours and direction, its number width, phase, size and
noise. Some are grey, one is CMYK and one a PNG under a JPEG's name, as in the real set.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.datasets.aside import aside, make_folder, publish, remove
from experiments.datasets.imagenet_archives import DEVKIT, TRAIN, VALID
from experiments.datasets.shuffle import key64, mix64

GREY_EVERY = 40


@dataclass(frozen=True)
class Images:
    """What is generated.

    Attributes
    ----------
    classes : number of classes.
    train, valid : images of each class.
    seed : of everything.
    """

    classes: int = 10
    train: int = 240
    valid: int = 80
    seed: int = 0

    def write(self, folder: Path) -> None:
        """Write the three archives into a folder, which appears whole; what is there is kept."""
        make_folder(folder.parent)
        with aside(folder) as making:
            if making is None:
                return
            for name in (TRAIN, VALID, DEVKIT):
                remove(making / name)
            with (making / DEVKIT).open("wb") as file:
                file.write(self._devkit())
            with tarfile.open(making / TRAIN, "w") as archive:
                for number in range(self.classes):
                    add(archive, f"{self.wnid(number)}.tar", self._class_tar(number))
            with tarfile.open(making / VALID, "w") as archive:
                for number, label in enumerate(self._valid_classes):
                    image = self.image(label, self.train + number)
                    add(archive, f"ILSVRC2012_val_{number + 1:08d}.JPEG", image)
            publish(making, folder)

    def wnid(self, number: int) -> str:
        """A synset's identifier; their order is not that of the classes' numbers in the kit."""
        return f"n{1000 + 37 * (number * 7 % self.classes):08d}"

    @cached_property
    def _valid_classes(self) -> list[int]:
        """The class of every validation image."""
        key = key64("images", self.seed, "valid")
        order = np.argsort(mix64(np.arange(self.classes * self.valid, dtype=np.uint64) ^ key))
        return [int(place) % self.classes for place in order]

    def _class_tar(self, number: int) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for index in range(self.train):
                oddity = {(0, 1): "CMYK", (1, 2): "PNG"}.get((number, index))
                name = f"{self.wnid(number)}_{index}.JPEG"
                add(archive, name, self.image(number, index, oddity))
        return out.getvalue()

    def image(self, number: int, index: int, oddity: str | None = None) -> bytes:
        """A class's image as a file."""
        draws = mix64(np.arange(8, dtype=np.uint64) ^ key64("image", self.seed, number, index))
        width, height = (40 + int(draw % np.uint64(60)) for draw in draws[:2])
        down, across = np.mgrid[:height, :width]
        angle = np.pi * number / self.classes
        period = 6 + int(draws[2] % np.uint64(6))
        along = across * np.cos(angle) + down * np.sin(angle) + int(draws[3] % np.uint64(12))
        wave = (np.sin(2 * np.pi * along / period) + 1) / 2
        colours = mix64(np.arange(6, dtype=np.uint64) ^ key64("colours", self.seed, number))
        low, high = (colours % np.uint64(160)).astype(np.float64).reshape(2, 3)
        noise = np.random.default_rng([self.seed, number, index]).normal(0, 25, (height, width, 1))
        pixels = low + wave[..., None] * (high + 60 - low) + noise
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        if oddity == "CMYK":
            image = image.convert("CMYK")
        elif index % GREY_EVERY == GREY_EVERY - 1:
            image = image.convert("L")
        out = io.BytesIO()
        image.save(out, oddity if oddity == "PNG" else "JPEG", quality=90)
        return out.getvalue()

    def _devkit(self) -> bytes:
        from scipy.io import savemat

        kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
        rows = [
            (number + 1, self.wnid(number), f"grating {number}, stripes", 0)
            for number in range(self.classes)
        ]
        rows.append((self.classes + 1, "n99999999", "pattern", self.classes))
        meta, out = io.BytesIO(), io.BytesIO()
        savemat(meta, {"synsets": np.array(rows, kind).reshape(-1, 1)})
        truth = "".join(f"{label + 1}\n" for label in self._valid_classes)
        with (
            gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w") as archive,
        ):
            root = "ILSVRC2012_devkit_t12/data"
            # scipy writes the time of day into the first 116 bytes, which are free text
            add(archive, f"{root}/meta.mat", b"generated".ljust(116) + meta.getvalue()[116:])
            add(
                archive,
                f"{root}/ILSVRC2012_validation_ground_truth.txt",
                truth.encode(),
            )
        return out.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Put a file into a tar; owner and time are nobody's and 1970."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
