"""Identifies a tokenizer by what its ids stand for."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=8)
def tokenizer_digest(tokenizer: Any) -> str:
    """Return the digest of the vocabulary of a tokenizer.

    Two tokenizers with the same digest give the same id to the same token, so that a distribution
    over the tokens of one is a distribution over those of the other.
    """
    vocabulary = sorted(tokenizer.get_vocab().items())
    return hashlib.sha256(json.dumps(vocabulary).encode()).hexdigest()
