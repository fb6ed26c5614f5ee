"""Image files to arrays of one size."""

from __future__ import annotations

import io
import struct
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from experiments.errors import DataError

# What Pillow says of damaged EXIF is nothing to us. (Filters set for a while do not suit threads.)
warnings.filterwarnings("ignore", module=r"PIL\.")

UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    struct.error,
    UnidentifiedImageError,
    Image.DecompressionBombError,
)
"""What Pillow raises for files that are cut short, damaged or no images."""


class Decoded(NamedTuple):
    """An image, and what was unusual about its file.

    Attributes
    ----------
    pixels : uint8 [side, side, 3], red, green, blue.
    oddity : ``CMYK``, ``grey``, ``PNG`` and the like; None for an RGB JPEG.
    """

    pixels: NDArray[np.uint8]
    oddity: str | None


def decode(data: bytes, side: int) -> Decoded:
    """Decode a file and scale it to a square, without cropping, as the release did.

    The release resized with Pillow's default of its time, which takes the nearest pixel; here all
    pixels count (bilinear over the area that one comes from). A JPEG at least four times as large
    is decoded at a half, quarter or eighth of its size, so that at least twice the wanted size is
    left.

    Raises
    ------
    DataError
        The file is damaged or no image; says how.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            oddity = _oddity(image)
            image.draft("RGB", (2 * side, 2 * side))
            small = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            return Decoded(np.asarray(small), oddity)
    except UNREADABLE as error:
        raise DataError(f"cannot be decoded ({error})") from None


def _oddity(image: Image.Image) -> str | None:
    if image.format != "JPEG":
        return image.format
    return {"RGB": None, "L": "grey"}.get(image.mode, image.mode)
