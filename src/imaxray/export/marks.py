"""Lists the special tokens of the model families, which no text of an export may contain.

A tool that trains on an export reads such a word as a mark: ``<|im_end|>`` in a report ends the
answer there. A test compares the list with the tokenizers of all families.
"""

from __future__ import annotations

from typing import Final

SPECIAL_TOKENS: Final = "|".join(
    (
        r"<\|[^|<>\s]+\|>",  # Qwen, InternVL, LLaVA-OneVision: <|im_end|>, <|image_pad|>
        r"</?s>|<(?:pad|unk|bos|eos|mask)>",  # Llama, Mistral, Gemma
        r"<(?:start|end)_of_(?:turn|image)>|<image_soft_token>|<unused\d+>",  # Gemma 3
        r"<(?:image|video|audio|IMG_CONTEXT)>|</?(?:img|quad|ref)>|</box>",  # LLaVA, InternVL
        r"</?(?:think|tool_call|tool_response)>",  # Qwen 3
        r"\[/?INST\]",  # the turns of Mistral, which are words for its tokenizer too
    )
)
"""Regular expression of the special tokens, without ``<box>``, which stands for a box here."""
