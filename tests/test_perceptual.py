"""Tests that perceptual hashes find similar images without comparing all pairs."""

import numpy as np

from imaxray.perceptual import NEAR, groups, near_pairs


def test_near_pairs_are_those_of_comparing_all():
    random = np.random.default_rng(0)
    hashes = random.integers(0, 256, (60, 32), dtype=np.uint8)
    for k in range(40):  # copies with 1 to 30 bits turned over
        bits = np.unpackbits(hashes[k % 20])
        bits[random.permutation(256)[: 1 + k % 30]] ^= 1
        hashes = np.vstack([hashes, np.packbits(bits)])
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(-1)
    expected = np.argwhere(np.triu(distance <= NEAR, 1))
    assert len(expected) > 20 and (distance == NEAR + 1).any()
    assert near_pairs(hashes).tolist() == expected.tolist()


def test_a_crowded_bucket_is_compared_in_blocks():
    hashes = np.zeros((20, 32), dtype=np.uint8)
    whole = near_pairs(hashes)
    assert len(whole) == 190 and near_pairs(hashes, block=3).tolist() == whole.tolist()


def test_groups_reach_through_others():
    assert groups(np.array([[0, 1], [1, 2]]), 4).tolist() == [0, 0, 0, 1]
