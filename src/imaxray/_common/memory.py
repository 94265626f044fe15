"""Adapts memory management to tables of hundreds of millions of cells."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the cycle collector in the block, as it would scan millions of live objects in vain."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def keep_freed_memory() -> None:
    """Make Polars' allocator keep freed pages for three seconds.

    A build creates and frees one table after another. Returning their pages to the system and
    requesting them again costs a tenth of the build time; keeping them for a minute costs 2 GB of
    memory. The function has an effect only before Polars is first imported, and it does not
    override a setting of the user.
    """
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:3000,muzzy_decay_ms:3000")
