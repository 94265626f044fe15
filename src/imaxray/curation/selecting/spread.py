"""Spreads a fixed number of entries over the largest possible number of images, exactly.

Each stratum *s* needs exactly d_s entries; image *i* offers c_is of them. Let the load of an image
be the number of entries it gives. Loads of feasible flows form a polymatroid, whose least majorised
vector minimises every symmetric convex cost of the loads at once: it has the most distinct images,
then the most images with at most two entries, and so on. The vector is found by raising the
allowance of every image by one at a time and augmenting a maximum flow. An augmentation never
lowers a load, so what was optimal for a smaller allowance stays optimal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

Counts = NDArray[np.int32]


def spread(image: Counts, stratum: Counts, offered: Counts, demand: Counts) -> Counts | None:
    """Return how many entries to take from each offer.

    An offer is a number of entries that one image has in one stratum.

    Args:
        image: Image number of each offer, shape (m,).
        stratum: Stratum number of each offer, shape (m,).
        offered: Number of entries of each offer, shape (m,), each >= 1.
        demand: Number of entries needed in each stratum, shape (s,).

    Returns:
        Number of entries taken from each offer, shape (m,); ``None`` if the demand cannot be met.
    """
    images, strata = int(image.max(initial=-1)) + 1, len(demand)
    source, sink = images + strata, images + strata + 1
    taken = np.zeros(len(offered), dtype=np.int32)
    missing = demand.astype(np.int32).copy()
    offers_of = np.bincount(image, weights=offered, minlength=images)
    everyone = np.arange(images, dtype=np.int32)
    for allowance in range(1, int(offers_of.max(initial=0)) + 1):
        if not missing.any():
            break
        free = everyone[offers_of >= allowance]
        graph = _residual(
            image, stratum, offered - taken, taken, free, missing, images, source, sink
        )
        flow = maximum_flow(graph, source, sink).flow
        sent = np.asarray(flow[image, images + stratum]).ravel()
        taken = taken + sent.astype(np.int32)
        missing = demand - np.bincount(stratum, weights=taken, minlength=strata).astype(np.int32)
    return None if missing.any() else taken


def _residual(
    image: Counts,
    stratum: Counts,
    left: Counts,
    taken: Counts,
    free: Counts,
    missing: Counts,
    images: int,
    source: int,
    sink: int,
) -> Any:
    """Build the residual graph: one more entry per free image, and exchanges of taken entries."""
    strata = np.arange(len(missing))
    tail = np.concatenate([np.full(len(free), source), image, images + stratum, images + strata])
    head = np.concatenate([free, images + stratum, image, np.full(len(strata), sink)])
    capacity = np.concatenate([np.ones(len(free)), left, taken, missing]).astype(np.int32)
    size = sink + 1
    # scipy-stubs does not know the form (data, (row, column)) with an integer dtype.
    make: Any = csr_array
    graph = make((capacity, (tail, head)), shape=(size, size), dtype=np.int32)
    # maximum_flow of older versions of scipy takes only 32-bit indices
    graph.indices, graph.indptr = graph.indices.astype(np.int32), graph.indptr.astype(np.int32)
    return graph
