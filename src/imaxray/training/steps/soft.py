"""Finds the distributions of a teacher for the answer tokens of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from imaxray._common.files import read_parquet
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel, tokenizer_digest
from imaxray.packing import Row, SoftTargets
from imaxray.schema import SOFT, SOFT_FILE, conform


class SoftAnswer(NamedTuple):
    """The distributions over the tokens of one answer.

    Attributes:
        tokens: Token ids of the answer, with the token that ends it.
        ids: Ids of the most probable tokens at each place, (T, K) int32.
        logprobs: Their log-probabilities, (T, K) float32.
    """

    tokens: list[int]
    ids: NDArray[np.int32]
    logprobs: NDArray[np.float32]


def read_soft(folder: Path, chat: ChatModel) -> dict[str, SoftAnswer]:
    """Read the distributions of a dataset folder by entry id.

    Args:
        folder: Dataset folder.
        chat: Model that is trained.

    Raises:
        ImaxrayError: The folder has no distributions, or they are over the tokens of another
            tokenizer.
    """
    path = folder / SOFT_FILE
    if not path.exists():
        raise ImaxrayError(
            f"Expected distributions in {folder} for target soft, but it has no {SOFT_FILE}; "
            "annotate with --top-k, e.g. 20, and filter again, or train with target hard."
        )
    table = conform(read_parquet(path), SOFT)
    mine = tokenizer_digest(chat.tokenizer)
    if others := table.filter(pl.col("tokenizer") != mine).height:
        raise ImaxrayError(
            f"Expected distributions over the tokens of the model that is trained, but {others:,} "
            f"of {table.height:,} answers in {path} come from a model with another tokenizer; "
            "train with target hard, or annotate with a model of the same tokenizer."
        )
    found = {}
    for row in table.iter_rows(named=True):
        shape = (len(row["token_ids"]), -1)
        found[row["entry_id"]] = SoftAnswer(
            row["token_ids"],
            np.array(row["top_ids"], dtype=np.int32).reshape(shape),
            np.array(row["top_logprobs"], dtype=np.float32).reshape(shape),
        )
    return found


def soft_targets(
    rows: Sequence[tuple[Row, Sequence[str]]], answers: Mapping[str, SoftAnswer]
) -> SoftTargets:
    """Return the distributions for the answer tokens of rows, in the order of a batch.

    An entry has them if its answer has the very tokens that the teacher generated. It has not if
    the answer was changed since, e.g. by fusion, by masked labels or by boxes that moved with their
    image, and if the teacher ended it in another way; its targets are then the tokens themselves.

    Args:
        rows: Rows, each with the ids of its entries in the order of the row.
        answers: Distributions by entry id.
    """
    places: list[int] = []
    parts: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = []
    start = 0
    for row, entries in rows:
        mine: dict[int, list[tuple[int, int]]] = {}
        for place, (owner, token) in enumerate(
            (owner, token) for owner, token in zip(row.entry, row.ids, strict=True) if owner >= 0
        ):
            mine.setdefault(owner, []).append((start + place, token))
        for owner, tokens in mine.items():
            answer = answers.get(entries[owner])
            if answer is not None and answer.tokens == [token for _, token in tokens]:
                places += [place for place, _ in tokens]
                parts.append((answer.ids, answer.logprobs))
        start += sum(len(tokens) for tokens in mine.values())
    most = min((ids.shape[1] for ids, _ in parts), default=0)
    ids = [ids[:, :most] for ids, _ in parts] or [np.zeros((0, 0), np.int32)]
    logs = [logs[:, :most] for _, logs in parts] or [np.zeros((0, 0), np.float32)]
    return SoftTargets(
        torch.tensor(places, dtype=torch.int64),
        torch.from_numpy(np.concatenate(ids).astype(np.int64)),
        torch.from_numpy(np.concatenate(logs)),
    )
