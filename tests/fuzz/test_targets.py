"""Tests every target on its seeds, on the cases that once failed, and on some hundred mutations.

``python tests/fuzz/run.py`` fuzzes for minutes; each finding becomes a file in ``corpus/TARGET``.
"""

import random
import time
from pathlib import Path

import pytest

from fuzz.mutations import mutated
from fuzz.targets import SEEDS, TARGETS

CORPUS = Path(__file__).parent / "corpus"
TRIALS = 150


def corpus(name):
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_earlier_findings(name):
    for data in (*SEEDS[name], *corpus(name), b""):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations(name):
    rng = random.Random(f"fuzz {name}")
    seeds = [*SEEDS[name], *corpus(name)]
    end = time.monotonic() + 8  # a slow machine tries fewer, but never fails for that
    for _ in range(TRIALS):
        data = mutated(rng, seeds)
        try:
            TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"{name} fails on {data[:300]!r}") from error
        if time.monotonic() > end:
            break


def test_every_folder_of_the_corpus_has_a_target():
    assert {path.name for path in CORPUS.glob("*")} <= TARGETS.keys()
