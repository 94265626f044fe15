"""Counts the tokens of a training: with its own schedule, tokenizer and packing, or from means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

import polars as pl

from imaxray.curation import Dataset
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel
from imaxray.packing import Row, entry_runs
from imaxray.schema import mark_pseudo
from imaxray.training import (
    Conversations,
    Recipe,
    StepDataset,
    drawn_shares,
    encode_split,
    schedule,
    share_out,
)


@dataclass(frozen=True)
class PassSize:
    """Says how large one forward pass is.

    Attributes:
        rows: Number of rows.
        length: Length of the longest row; the others are padded to it.
        tokens: Number of tokens without padding.
        keys: Keys that are stored for attention, over all calls.
        masked: Pairs of tokens in the masks of all calls, which are stored too.
        answers: Number of answer tokens, at which logits are computed.
        image_tokens: Number of image tokens.
        packed: Whether attention is computed in pieces.
    """

    rows: int
    length: int
    tokens: int
    keys: int
    masked: int
    answers: int
    image_tokens: int
    packed: bool

    @property
    def padded(self) -> int:
        """Number of tokens with padding."""
        return self.rows * self.length


@dataclass(frozen=True)
class TokenCounts:
    """Holds the tokens of one training, over all of its steps.

    Attributes:
        entries_seen: Number of entries seen, repetitions included.
        sequences: Number of rows.
        images: Number of times that an image is encoded.
        tokens: Number of tokens, without padding.
        image_tokens: Number of image tokens among them.
        padding: Number of padding tokens; ``None`` if it is not known.
        steps: Number of steps.
        counted: Number of steps that were counted; the others were taken to be like them. 0: the
            counts are from means.
        error: Standard error of ``tokens``; 0 if every step was counted.
        dropped: Entries among those counted that the training leaves out.
        largest: The forward passes that may need most memory; the largest is that of the estimate.
    """

    entries_seen: int
    sequences: int
    images: int
    tokens: int
    image_tokens: int
    padding: int | None
    steps: int
    counted: int
    error: float
    dropped: int
    largest: tuple[PassSize, ...]

    @property
    def is_exact(self) -> bool:
        """Whether the counts are those of the training itself."""
        return self.counted == self.steps and not self.dropped


def count_tokens(
    chat: ChatModel, data: Dataset, recipe: Recipe, *, steps: int, sample: int, processes: int = 1
) -> TokenCounts:
    """Count the tokens of a training by the code that lays out its steps.

    Args:
        chat: Model or its outline, with the limit of image tokens of the recipe.
        data: Dataset folder.
        recipe: Recipe of the training.
        steps: Number of steps.
        sample: Number of entries above which only some steps are counted, spread evenly.
        processes: Number of processes that divide each step.

    Raises:
        ImaxrayError: If there is no train split, or an entry exceeds the tokens of a pass.
    """
    entries = data.tables.split("train")
    if entries.is_empty():
        raise ImaxrayError(
            f"Expected a train split in {data.folder}, but it has no entry; name a dataset with "
            "one."
        )
    if recipe.real_share is not None or recipe.pseudo_weight != 1:
        entries = mark_pseudo(entries)
    table = schedule(
        entries,
        layout=recipe.layout,
        entries_per_step=recipe.entries_per_step,
        steps=steps,
        seed=recipe.seed,
        shares=drawn_shares(entries, recipe),
    )
    count = min(steps, max(1, sample // recipe.entries_per_step))
    chosen = [int((k + 0.5) * steps / count) for k in range(count)]
    table = table.filter(pl.col("step").is_in(chosen)).with_columns(
        pl.col("step").replace_strict(chosen, list(range(count)), return_dtype=pl.Int32)
    )
    used = entries.filter(pl.col("entry_id").is_in(table["entry_id"].unique().to_list()))
    ready = encode_split(chat, used, data.tables.images)
    if ready.drops.height:
        table = table.filter(~pl.col("entry_id").is_in(ready.drops["entry_id"].to_list()))
    conversations = (
        Conversations(chat, ready.entries, data.tables.images)
        if recipe.layout == "conversation"
        else None
    )
    laid = StepDataset(chat, table, ready.entries, ready.tokens, {}, recipe.layout, conversations)
    passes: list[list[PassSize]] = []
    images: list[int] = []
    for step in range(len(laid)):
        pieces = laid.pieces(step, recipe.tokens_per_batch)
        shares = share_out(
            [len(piece.row) for piece in pieces],
            ranks=processes,
            at_least=recipe.accumulate,
            budget=recipe.tokens_per_batch,
        )
        images.append(sum(len(piece.images) for piece in pieces))
        passes.append([
            pass_size([pieces[k].row for k in rows], chat.image_token)
            for share in shares for rows in share if rows
        ])  # fmt: skip
    whole = steps / count

    def total(of: Sequence[int]) -> int:
        return round(whole * sum(of))

    each = [sum(one.tokens for one in step) for step in passes]
    flat = [one for step in passes for one in step]
    spread = stdev(each) if len(each) > 1 else 0.0
    return TokenCounts(
        entries_seen=steps * recipe.entries_per_step,
        sequences=total([one.rows for one in flat]),
        images=total(images),
        tokens=total(each),
        image_tokens=total([one.image_tokens for one in flat]),
        padding=total([one.padded - one.tokens for one in flat]),
        steps=steps,
        counted=count,
        error=steps * spread * math.sqrt(max(0.0, 1 / count - 1 / steps)),
        dropped=ready.drops.height,
        largest=_candidates(flat),
    )


def pass_size(rows: Sequence[Row], image_token: int) -> PassSize:
    """Return the size of a forward pass over rows.

    Args:
        rows: Rows, at least one.
        image_token: Id of the image token.
    """
    longest = max(len(row) for row in rows)
    packed = any(any(row.segments) for row in rows)
    tokens = sum(len(row) for row in rows)
    keys, masked = 0, 0
    if packed:
        for row in rows:
            for group in row.groups:
                prefix = group.split - group.start
                keys += prefix
                for run in entry_runs(row.segments, group):
                    length = run.stop - run.start
                    keys += prefix + length
                    masked += length * (prefix + length)
    else:
        keys = len(rows) * longest
        masked = 0 if tokens == keys else len(rows) * longest**2
    return PassSize(
        rows=len(rows),
        length=longest,
        tokens=tokens,
        keys=keys,
        masked=masked,
        answers=sum(owner >= 0 for row in rows for owner in row.entry),
        image_tokens=sum(row.ids.count(image_token) for row in rows),
        packed=packed,
    )


def _candidates(passes: Sequence[PassSize]) -> tuple[PassSize, ...]:
    """Return the passes that are the largest in one respect, since no respect decides alone."""
    keys = ("padded", "keys", "masked", "answers", "image_tokens")
    return tuple(dict.fromkeys(max(passes, key=lambda one: getattr(one, key)) for key in keys))


def tokens_of_means(
    chat: ChatModel,
    recipe: Recipe,
    *,
    steps: int,
    entries_per_image: float,
    text_tokens: float,
    size: tuple[int, int],
    processes: int = 1,
) -> TokenCounts:
    """Compute the tokens of a training from means, for data that are not built yet.

    The chat format and the image tokens are the model's own. Of packed rows, the entries of an
    image share them once, and once more where the border of a step divides an image.

    Args:
        chat: Model or its outline, with the limit of image tokens of the recipe.
        recipe: Recipe of the training, with the layout packed or separate.
        steps: Number of steps.
        entries_per_image: Mean number of entries per image.
        text_tokens: Mean number of tokens of question and answer.
        size: Width and height of an image in pixels.
        processes: Number of processes that divide each step.

    Raises:
        ImaxrayError: If the layout is another one.
    """
    if recipe.layout == "conversation":
        raise ImaxrayError(
            "Expected the layout packed or separate for an estimate from means, but it is "
            "conversation; build the data first, so that the conversations can be counted."
        )
    empty = chat.encode("", "", [], size)
    image = empty.prompt.count(chat.image_token)
    last = max(k for k, token in enumerate(empty.prompt) if token == chat.image_token)
    prefix = last + 1
    own = len(empty.prompt) - prefix + len(empty.target) + text_tokens
    seen = steps * recipe.entries_per_step
    images = float(seen)
    if recipe.layout == "packed":
        # a step begins inside the entries of an image unless its first entry is the first of them
        images = seen / entries_per_image + steps * (1 - 1 / entries_per_image)
        images = min(images, float(seen))
    tokens = images * prefix + seen * own
    budget = recipe.tokens_per_batch or tokens / steps
    sequences = images if recipe.tokens_per_batch is None else tokens / budget
    if recipe.layout == "separate":
        sequences = seen
    per_pass = min(budget, tokens / steps / processes)
    share = per_pass / tokens
    run = max(64.0, own)
    runs = seen * own / run
    keys = images * prefix + runs * (prefix + run) if recipe.layout == "packed" else tokens
    length = prefix + own
    masked = runs * run * (prefix + run) if recipe.layout == "packed" else seen * length**2
    largest = PassSize(
        rows=1 if recipe.layout == "packed" else max(1, round(per_pass / length)),
        length=round(per_pass if recipe.layout == "packed" else length),
        tokens=round(per_pass),
        keys=round(share * keys),
        masked=round(share * masked),
        answers=round(share * seen * text_tokens),
        image_tokens=round(share * images * image),
        packed=recipe.layout == "packed",
    )
    return TokenCounts(
        entries_seen=seen,
        sequences=round(sequences),
        images=round(images),
        tokens=round(tokens),
        image_tokens=round(images * image),
        padding=None,
        steps=steps,
        counted=0,
        error=0.0,
        dropped=0,
        largest=(largest,),
    )
