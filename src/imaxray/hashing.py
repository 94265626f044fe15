"""Computes hashes for random choices, which are the same on every machine and in every version.

Where other projects draw from a seeded generator, imaxray hashes the item that the draw is for. A
choice then does not depend on the order of rows, on the number of workers, or on the other rows of
the table.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


def digest(text: str) -> int:
    """Return the 64-bit BLAKE2b hash of one text.

    Example:
        >>> digest("mimic-cxr/10000032")
        5581659108551984622
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def digests(texts: pl.Series) -> Hashes:
    """Return :func:`digest` of each text of a column, shape ``(n,)``; null counts as empty text.

    In a column with many repeated texts, each distinct text is hashed once.
    """
    column = texts.cast(pl.String).fill_null("")
    different = column.unique()
    if different.len() * 2 > column.len():
        return np.fromiter((digest(t) for t in column), dtype=np.uint64, count=column.len())
    table = pl.DataFrame(
        {"text": different, "hash": [digest(t) for t in different]},
        schema={"text": pl.String, "hash": pl.UInt64},
    )
    found = pl.DataFrame({"text": column}).join(table, on="text", how="left", maintain_order="left")
    return found["hash"].to_numpy()


def mixed(first: Hashes, *others: Hashes | int) -> Hashes:
    """Combine hashes element by element (SplitMix64's finaliser over a running sum)."""
    result = _scramble(first)
    for other in others:
        number = np.uint64(other % 2**64) if isinstance(other, int) else other
        with np.errstate(over="ignore"):
            result = _scramble(result + number * np.uint64(3))
    return result


def hexadecimal(hashes: Hashes) -> pl.Series:
    """Return each hash as 16 hexadecimal digits.

    Example:
        >>> hexadecimal(np.array([255], dtype=np.uint64)).to_list()
        ['00000000000000ff']
    """
    raw = hashes.astype(">u8").tobytes()
    return pl.Series(
        [raw[k : k + 8] for k in range(0, len(raw), 8)], dtype=pl.Binary
    ).bin.encode("hex")  # fmt: skip


def from_hexadecimal(texts: pl.Series) -> Hashes:
    """Return the hashes that :func:`hexadecimal` wrote; a text may have a prefix before its digits.

    Example:
        >>> from_hexadecimal(pl.Series(["vqa-00000000000000ff"])).tolist()
        [255]
    """
    digits = texts.str.tail(16).str.decode("hex").to_list()
    return np.frombuffer(b"".join(digits), dtype=">u8").astype(np.uint64)


def _scramble(hashes: Hashes) -> Hashes:
    with np.errstate(over="ignore"):
        z = hashes + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _FIRST
        z = (z ^ (z >> np.uint64(27))) * _SECOND
        return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)
