"""Tests that no assignment uses more images than the spread, or loads them more evenly."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.curation.selecting.spread import spread


def brute_force(offers, demand):
    """Loads of the best feasible assignment by the least sum of squares; None if there is none."""
    best = None
    for taken in itertools.product(*(range(count + 1) for _, _, count in offers)):
        per_stratum = [0] * len(demand)
        loads = {}
        for (image, stratum, _), number in zip(offers, taken, strict=True):
            per_stratum[stratum] += number
            loads[image] = loads.get(image, 0) + number
        if per_stratum == list(demand):
            key = sorted(loads.values(), reverse=True)
            if best is None or sum(v * v for v in key) < sum(v * v for v in best):
                best = key
    return best


@st.composite
def catalogs(draw):
    images, strata = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    cells = draw(
        st.lists(
            st.tuples(st.integers(0, images - 1), st.integers(0, strata - 1), st.integers(1, 2)),
            min_size=1,
            max_size=7,
            unique_by=lambda cell: cell[:2],
        )
    )
    supply = [sum(c for _, s, c in cells if s == k) for k in range(strata)]
    demand = [draw(st.integers(0, total)) for total in supply]
    return cells, demand


@settings(max_examples=200, deadline=None)
@given(catalogs())
def test_the_spread_is_optimal(case):
    offers, demand = case
    image, stratum, offered = (np.array(column, np.int32) for column in zip(*offers, strict=True))
    taken = spread(image, stratum, offered, np.array(demand, np.int32))
    best = brute_force(offers, demand)
    assert (taken is None) == (best is None)
    if taken is None:
        return
    assert (taken <= offered).all() and (taken >= 0).all()
    assert np.bincount(stratum, taken, len(demand)).tolist() == demand
    loads = sorted(np.bincount(image, taken).astype(int).tolist(), reverse=True)
    assert sum(v * v for v in loads) == sum(v * v for v in best)
    # least majorised: also the most distinct images
    assert sum(v > 0 for v in loads) == sum(v > 0 for v in best)


def test_what_cannot_be_met_is_none():
    one = np.array([0], np.int32)
    assert spread(one, one, np.array([2], np.int32), np.array([3], np.int32)) is None
