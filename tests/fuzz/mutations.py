"""Changes bytes the way that damage, other tools and attackers do."""

import random
from collections.abc import Sequence

from fuzz.targets import DICTIONARY

LONGEST = 20_000  # bytes, so that one trial stays short


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return a seed after one to six changes."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(1, 7)):
        at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        kind = rng.randrange(8)
        if kind == 0:
            data[at:at] = rng.choice(DICTIONARY)
        elif kind == 1:
            del data[at:to]
        elif kind == 2 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 3:
            data[at:at] = data[at:to] * rng.choice((1, 2, 50))
        elif kind == 4:
            other = rng.choice(seeds)
            data[at:to] = other[: rng.randrange(len(other) + 1)]
        elif kind == 5:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 6:
            data[at:to] = str(rng.choice((0, -1, 7, 2**63, 0.5, 1e308))).encode()
        else:
            data[at:at] = rng.choice("é\u202e\U0001fac1\u2028１").encode()
    return bytes(data[:LONGEST])
