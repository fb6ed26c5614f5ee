"""A figure's picture as text that stands inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from experiments.errors import DataError

WIDTH = 1800
"""Pixels at most; figures are drawn 2400 wide."""

_AS_IT_IS = 350_000
"""Bytes up to which a picture is not worth the time that making it smaller takes."""
_COLOURS = 128


@dataclass(frozen=True)
class Picture:
    """A picture and its size in pixels; ``source`` is a data URI."""

    source: str
    width: int
    height: int


def embed(path: Path) -> Picture:
    """The picture in ``path``, made smaller where it is large.

    Raises
    ------
    DataError
        It cannot be read, or is no PNG.
    """
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            wide, tall = picture.size
            if len(data) > _AS_IT_IS:
                factor = min(1.0, WIDTH / wide)
                wide, tall = round(wide * factor), round(tall * factor)
                smaller = picture.convert("RGB").resize((wide, tall), Image.Resampling.BOX)
                data = _png(smaller.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE))
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise DataError(f"{path}: not a figure's picture ({error})") from None
    return Picture(f"data:image/png;base64,{base64.b64encode(data).decode()}", wide, tall)


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
