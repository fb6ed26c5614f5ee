"""Readable second versions of what the room computes many rows at a time."""

from __future__ import annotations

WORD = 0xFFFFFFFF


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & WORD


def _mix(word: int) -> int:
    return _rotate(word * 0xCC9E2D51 & WORD, 15) * 0x1B873593 & WORD


def murmur3_reference(text: bytes, seed: int = 0) -> int:
    """MurmurHash3_x86_32, one string at a time."""
    whole = len(text) // 4 * 4
    value = seed
    for start in range(0, whole, 4):
        value ^= _mix(int.from_bytes(text[start : start + 4], "little"))
        value = (_rotate(value, 13) * 5 + 0xE6546B64) & WORD
    value ^= _mix(int.from_bytes(text[whole:], "little"))
    value ^= len(text)
    value = (value ^ value >> 16) * 0x85EBCA6B & WORD
    value = (value ^ value >> 13) * 0xC2B2AE35 & WORD
    return value ^ value >> 16


def criteo_reference(line: str, buckets: int, slots: int) -> tuple[list[int], int]:
    """A click log's line: the columns that are one, in ascending order, and its label."""
    label, *fields = line.removesuffix("\n").split("\t")
    columns = []
    for number, text in enumerate(fields[:13]):
        bounds = [1.5 ** (50 / buckets * j) - 0.51 for j in range(buckets)]
        reached = [j for j, bound in enumerate(bounds) if int(text or 0) >= bound]
        columns += [number * buckets + j for j in reached[-1:]]
    for number, text in enumerate(fields[13:]):
        place = murmur3_reference((text or "0").encode()) % slots
        columns.append(13 * buckets + number * slots + place)
    return columns, int(label)
