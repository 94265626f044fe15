"""Outlines a model without its weights: parameters on the meta device, and a processor that counts.

An outline answers what a plan asks: how many parameters a model has, how many tokens an image and
a text become. Where the files of a model are on this machine, its own configuration and processor
answer. For models of the registry whose files are not here, the published dimensions answer, with
the family's own processor class and chat template, and a tokenizer that counts text by a rule.
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from tokenizers import AddedToken, Regex, Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.trainers import WordLevelTrainer
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast

from imaxray.boxes import BoxConvention
from imaxray.errors import ImaxrayError
from imaxray.models.chat import ChatModel
from imaxray.models.load import family_of, find_model
from imaxray.models.processor import load_processor
from imaxray.models.published import Published, published, published_names
from imaxray.models.registry import find_row
from imaxray.models.saved import adapter_base
from imaxray.models.tiny import build_tiny

LETTERS: Final = 6
"""Most letters of a piece of a word that count as one token.

Vocabularies for general text cut the long words of radiology. With six letters, and every digit by
itself, the count of tokens is 0.7 to 2.6 % above that of Qwen's own vocabulary and 6 to 11 % below
that of Mistral's, on the questions and answers of VQA-RAD, of the open study and of the phantom.
"""

_PIECE: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    rf"|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}{{1,{LETTERS}}}"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

Source = Literal["files", "published"]


@dataclass(frozen=True)
class Outline:
    """Holds a model without weights.

    Attributes:
        chat: Model on the meta device with its processor; it encodes entries, but cannot compute.
        source: Where the outline is from: the files of the model, or its published dimensions, in
            which case tokens of text are counted by a rule (:data:`LETTERS`).
    """

    chat: ChatModel
    source: Source


def outline_model(
    name_or_path: str | Path,
    *,
    convention: str | BoxConvention | None = None,
    dtype: torch.dtype | str = "auto",
    revision: str | None = None,
    max_image_tokens: int | None = None,
    corpus: Iterable[str] = (),
) -> Outline:
    """Return a model without its weights; nothing is fetched from the network.

    Args:
        name_or_path: Model, as for :func:`imaxray.models.load_model`.
        convention: Box convention, as for :func:`imaxray.models.load_model`.
        dtype: Data type of the weights; ``auto`` is the stored one.
        revision: Commit, tag or branch on the hub.
        max_image_tokens: Maximum number of tokens of an image.
        corpus: Texts that will be counted, if the vocabulary of the model is not here; two pieces
            of text that are not in it count as the same token.

    Raises:
        ImaxrayError: Neither the files of the model are on this machine nor its dimensions known.
    """
    folder = Path(str(name_or_path))
    if (folder / "adapter_config.json").is_file():
        return outline_model(
            adapter_base(folder),
            convention=convention,
            dtype=dtype,
            revision=revision,
            max_image_tokens=max_image_tokens,
            corpus=corpus,
        )
    known = None if folder.is_dir() else published(str(name_or_path))
    try:
        found = _of_files(str(name_or_path), convention, dtype, revision)
    except (ImaxrayError, OSError, ValueError) as error:
        if known is not None:
            found = Outline(_of_dimensions(str(name_or_path), known, dtype, corpus), "published")
        elif folder.is_dir():
            raise
        else:
            raise ImaxrayError(
                f"Expected the configuration and the processor of {name_or_path} on this machine, "
                "but they are not here; download its files without the weights and name their "
                "folder, or name a model whose dimensions are known: "
                f"{', '.join(published_names())}."
            ) from error
    if max_image_tokens is not None:
        found.chat.limit_image_tokens(max_image_tokens)
    return found


def _of_files(
    name: str,
    convention: str | BoxConvention | None,
    dtype: torch.dtype | str,
    revision: str | None,
) -> Outline:
    found = find_model(name, convention, revision, local_files_only=True)
    stored = getattr(found.config, "dtype", None) or torch.float32
    chat = found.family(
        name,
        _bare(found.config, stored if dtype == "auto" else dtype),
        load_processor(found.source, found.config, **found.hub),
        found.convention,
    )
    return Outline(chat, "files")


def _bare(config: Any, dtype: Any) -> Any:
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config, dtype=dtype).eval()


def _of_dimensions(
    name: str, known: Published, dtype: torch.dtype | str, corpus: Iterable[str]
) -> ChatModel:
    """Return an outline with the published dimensions; its processor is of the family's class."""
    row = find_row(name)
    assert row is not None
    family = known.config.model_type
    processor = build_tiny(family).processor
    tokenizer = counting_tokenizer(processor.tokenizer, corpus)
    if family == "gemma3":  # it writes the run of image tokens out once, when it is made
        processor = type(processor)(
            known.images, tokenizer, processor.chat_template, image_seq_length=known.tokens_per_tile
        )
    else:
        processor.image_processor, processor.tokenizer = known.images, tokenizer
        if known.tokens_per_tile is not None:
            processor.image_seq_length = known.tokens_per_tile
    # Gemma's processor calls the mark before the image its image token
    mark = tokenizer.image_token if family == "gemma3" else processor.image_token
    token = tokenizer.convert_tokens_to_ids(mark)
    for attribute in ("image_token_id", "image_token_index"):
        if hasattr(known.config, attribute):
            setattr(known.config, attribute, token)
    stored = torch.bfloat16 if dtype == "auto" else dtype
    return family_of(family)(row.name, _bare(known.config, stored), processor, row.boxes)


def counting_tokenizer(like: Any, corpus: Iterable[str]) -> Any:
    """Return a tokenizer that counts the tokens of text by a rule, without a vocabulary.

    A word counts one token per :data:`LETTERS` letters or part of them; each digit and each run of
    other signs counts one.

    Args:
        like: Tokenizer whose special tokens are taken over.
        corpus: Texts whose pieces get ids of their own, so that shared beginnings of prompts are
            found.
    """
    backend = Tokenizer(WordLevel({"<unk>": 0}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECE), behavior="isolated")
    trainer = WordLevelTrainer(vocab_size=2**24, special_tokens=["<unk>"], show_progress=False)
    backend.train_from_iterator([*string.digits, *corpus], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        **{
            role: token
            for role in ("pad_token", "bos_token", "eos_token")
            if (token := getattr(like, role, None)) is not None
        },
        extra_special_tokens=dict(like.init_kwargs.get("extra_special_tokens") or {}),
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens([
        AddedToken(token.content, normalized=False, special=token.special)
        for token in like.added_tokens_decoder.values()
    ])  # fmt: skip
    return tokenizer
