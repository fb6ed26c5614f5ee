"""Page checksums, as ``checksum_impl.h`` defines them: 32 FNV-1a sums side by side, folded."""

from __future__ import annotations

import numpy as np

from experiments.warehouse.pagefile.native import Bytes, Xids, compiled

PRIME = np.uint32(16777619)
LANES = 32
# fmt: off
OFFSETS: Xids = np.array([
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
], dtype=np.uint32)
# fmt: on
"""Where each lane's sum starts (``checksumBaseOffsets``)."""


@compiled
def checksum(page: Bytes, block: int) -> np.int64:
    """``pg_checksum_page`` of one page: 1 to 65535. ``block`` counts from the relation's start."""
    words = page.view(np.uint32)
    sums = OFFSETS.copy()
    for row in range(0, len(words), LANES):
        for lane in range(LANES):
            word = words[row + lane]
            if row + lane == 2:  # pd_checksum itself counts as zero
                word &= np.uint32(0xFFFF0000)
            mixed = sums[lane] ^ word
            sums[lane] = mixed * PRIME ^ (mixed >> np.uint32(17))
    result = np.uint32(0)
    for lane in range(LANES):
        total = sums[lane]
        for _ in range(2):
            total = np.uint32(total * PRIME ^ (total >> np.uint32(17)))
        result ^= total
    return np.int64((result ^ np.uint32(block)) % np.uint32(65535)) + 1
