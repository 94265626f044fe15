"""How the process handles memory while it works on tables of hundreds of millions of cells."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Run without the cycle collector, which walks millions of live objects again in vain."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def keep_freed_memory() -> None:
    """Have Polars' allocator keep freed pages for three seconds.

    Tables of a build are made and freed in turn; giving their pages back to the system and taking
    them again costs a tenth of the build, and keeping them for a minute 2 GB of memory. Only acts
    before Polars is first imported; what the user has set stays.
    """
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:3000,muzzy_decay_ms:3000")
