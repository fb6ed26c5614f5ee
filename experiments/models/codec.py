"""A model's state as bytes: what hops between workers and what a model store keeps.

Layout, little-endian::

    4 s   magic "CDSM"
    u16   version
    u32   length of the header
    ...   header: JSON, padded with spaces so that the payload starts at a multiple of 64 bytes
    f32[] weights in ``get_weights()`` order
    f32[] Adam's first moments, then its second moments, in trainable-variable order (or nothing)

The header holds ``weights`` and ``optimizer`` (numbers of floats), ``step``, ``layout`` and
``crc32``; the checksum covers the other fields and the payload. The payload is raw float32, so a
reader gets the weights without a copy and a database sees what MADlib stores: a flat byte string.
Nothing is ever pickled.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

MAGIC = b"CDSM"
VERSION = 1
ALIGNMENT = 64

Floats = npt.NDArray[np.float32]
if TYPE_CHECKING:
    Buffer = bytes | bytearray | memoryview


class DamagedState(ValueError):
    """Bytes that are not a state, or not the one that is wanted; the message says why."""


_PREFIX = struct.Struct("<4sHI")
_FLOAT = np.dtype("<f4")


@dataclass(frozen=True)
class State:
    """A decoded state. The arrays are read-only views into the bytes it was decoded from.

    Attributes
    ----------
    weights : float32 [number of weights], every weight tensor flattened and joined.
    optimizer : float32 [2 x number of trainable weights], or empty for a fresh optimizer.
    step : optimizer steps taken so far; 0 for a fresh optimizer.
    layout : digest of the tensor shapes, so that a state cannot enter another architecture.
    """

    weights: Floats
    optimizer: Floats
    step: int
    layout: str


def encode(weights: Sequence[Floats], optimizer: Sequence[Floats], step: int, layout: str) -> bytes:
    """Join tensors into one byte string with a single copy.

    Parameters
    ----------
    weights, optimizer : C-contiguous little-endian float32 arrays of any shape, in order.
    step : optimizer steps taken so far.
    layout : digest that :func:`decode` will be asked to compare.
    """
    payload = [*weights, *optimizer]
    for tensor in payload:
        if tensor.dtype != _FLOAT or not tensor.flags.c_contiguous:
            raise ValueError(f"a state holds contiguous float32 tensors, not {tensor.dtype}")
    fields = {
        "weights": sum(tensor.size for tensor in weights),
        "optimizer": sum(tensor.size for tensor in optimizer),
        "step": step,
        "layout": layout,
    }
    crc = zlib.crc32(_json(fields))
    for tensor in payload:
        crc = zlib.crc32(tensor.data, crc)
    header = _pad(_json({**fields, "crc32": crc}))
    prefix = _PREFIX.pack(MAGIC, VERSION, len(header))
    return b"".join([prefix, header, *(tensor.data for tensor in payload)])


def decode(state: Buffer, layout: str | None = None) -> State:
    """Check a state and give views into it; no copy is made.

    Parameters
    ----------
    state : bytes made by :func:`encode`.
    layout : digest of the model that is to receive it; None accepts any.

    Raises
    ------
    DamagedState
        Not a state, another version, cut short, damaged, or for another architecture; the message
        says which.
    """
    view = memoryview(state).cast("B")
    header, start = _header(view)
    expected = start + _FLOAT.itemsize * (header["weights"] + header["optimizer"])
    if len(view) != expected:
        raise DamagedState(f"model state: {len(view)} bytes, its header promises {expected}")
    if layout is not None and header["layout"] != layout:
        raise DamagedState(
            f"model state: made for tensors of layout {header['layout']}, "
            f"the loaded architecture has {layout}"
        )
    crc = header.pop("crc32")
    if zlib.crc32(view[start:], zlib.crc32(_json(header))) != crc:
        raise DamagedState("model state: damaged, its checksum does not match")
    floats = np.frombuffer(view[start:], _FLOAT)
    floats.flags.writeable = False
    cut = header["weights"]
    return State(floats[:cut], floats[cut:], header["step"], header["layout"])


def _header(view: memoryview) -> tuple[dict[str, Any], int]:
    """The checked header and the offset of the payload."""
    if len(view) < _PREFIX.size:
        raise DamagedState(f"model state: {len(view)} bytes are too few for a header")
    magic, version, length = _PREFIX.unpack_from(view)
    if magic != MAGIC:
        raise DamagedState(f"model state: starts with {magic!r}, not {MAGIC!r}")
    if version != VERSION:
        raise DamagedState(f"model state: version {version}, this reader knows {VERSION}")
    start = _PREFIX.size + length
    if start > len(view):
        raise DamagedState(f"model state: cut short inside its header of {length} bytes")
    text = bytes(view[_PREFIX.size : start])
    try:
        header = json.loads(text)
    except ValueError:
        raise DamagedState("model state: damaged, its header is not JSON") from None
    wanted = {"weights": int, "optimizer": int, "step": int, "layout": str, "crc32": int}
    if not isinstance(header, dict) or {k: type(v) for k, v in header.items()} != wanted:
        raise DamagedState("model state: damaged, its header lacks or mistypes a field")
    if _pad(_json(header)) != text:
        raise DamagedState("model state: damaged, its header is not as it was written")
    if min(header["weights"], header["optimizer"], header["step"]) < 0:
        raise DamagedState("model state: damaged, its header holds a negative count")
    return header, start


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _pad(header: bytes) -> bytes:
    return header + b" " * (-(_PREFIX.size + len(header)) % ALIGNMENT)
