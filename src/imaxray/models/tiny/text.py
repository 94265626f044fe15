"""Builds tokenizers and chat templates of the miniature models, with the families' own tokens.

The tokenizer classes are those of the families, and the vocabularies are trained on a few lines.
The chat templates are those of the families' released processors, as far as they concern one image
and text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tokenizers import AddedToken
from transformers import GemmaTokenizer, LlamaTokenizer, Qwen2Tokenizer

CORPUS: Final = (
    "Measure the cardiothoracic ratio. 0.52",
    "Locate the right lower lobe opacity. [151, 182, 213, 236]",
    'What is in this location: {"box_2d": [340, 120, 780, 560]}? left pleural effusion',
    "Is there edema? No. <box>[[120, 340, 560, 780]]</box> [0.12, 0.34, 0.56, 0.78]",
    "The heart is enlarged. There is no pneumothorax. Findings: Atelectasis, Cardiomegaly.",
    "You are a helpful assistant. system user assistant model",
)

PIECES: Final = 256
"""Number of pieces that a tokenizer learns if nothing else is said."""

_CHATML: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

QWEN_VISION: Final = (
    "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
    "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip

INTERNVL_TAGS: Final = ("<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>")

_QWEN_TURN: Final = (
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endif %}"
)
_CHATML_START: Final = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

TEMPLATES: Final[Mapping[str, str]] = {
    "qwen2_5_vl": (
        "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
        + _QWEN_TURN
        + "{% endfor %}"
        + _CHATML_START
    ),
    "qwen3_vl": "{% for message in messages %}" + _QWEN_TURN + "{% endfor %}" + _CHATML_START,
    "gemma3": (
        "{{ bos_token }}{%- for message in messages -%}"
        "{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}"
        "{{ '<start_of_turn>' + role + '\n' }}"
        "{%- if message['content'] is string -%}{{ message['content'] | trim }}"
        "{%- else -%}{%- for item in message['content'] -%}"
        "{%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}"
        "{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}"
        "{%- endfor -%}{%- endif -%}{{ '<end_of_turn>\n' }}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
    ),
    "llava_onevision": (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
        "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
        "{{ '<image>' }}{% endfor %}"
        "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
        "{{ '\n' + content['text'] }}{% endfor %}{{ '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
    ),
    "internvl": (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
        "{% if message['content'] is string %}{{ message['content'] }}"
        "{% else %}{% for content in message['content'] %}"
        "{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
        "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}"
        "{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}" + _CHATML_START
    ),
}
"""Chat template of each family; that of LLaVA is in its family module."""


def qwen_tokenizer(
    corpus: Iterable[str], special: Sequence[str], *, pieces: int = PIECES, **named: str
) -> Any:
    """Train a ``Qwen2Tokenizer``: byte-level BPE, ChatML tokens, and the tokens of the family.

    Args:
        corpus: Text from which merges are learned.
        special: Further special tokens.
        pieces: Number of pieces to learn.
        named: Further special tokens that the processor reads by attribute, e.g. ``image_token``.
    """
    tokens = [*_CHATML, *special, *named.values()]
    return _train(
        Qwen2Tokenizer,
        corpus,
        tokens,
        pieces,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=named,
    )


def llama_tokenizer(corpus: Iterable[str], pieces: int = PIECES) -> Any:
    """Train a ``LlamaTokenizer`` like Mistral's: pieces with byte fallback, and ``<image>``."""
    tokens = ["<unk>", "<s>", "</s>", *_BYTES, "<image>", "<pad>"]
    named = {"image_token": "<image>"}
    return _train(
        LlamaTokenizer, corpus, tokens, pieces,
        pad_token="<pad>", add_bos_token=True, extra_special_tokens=named,
    )  # fmt: skip


def gemma_tokenizer(corpus: Iterable[str], pieces: int = PIECES) -> Any:
    """Train a ``GemmaTokenizer``: byte fallback, turn and image tokens, and two unused tokens."""
    turns = ["<start_of_turn>", "<end_of_turn>"]
    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *_BYTES, *turns, *named.values()]
    return _train(
        GemmaTokenizer,
        corpus,
        [*tokens, "<unused94>", "<unused95>"],
        pieces,
        add_bos_token=True,
        extra_special_tokens=named,
    )


_BYTES: Final = tuple(f"<0x{byte:02X}>" for byte in range(256))


def _train(
    tokenizer_class: Any,
    corpus: Iterable[str],
    tokens: Sequence[str],
    pieces: int,
    **kwargs: Any,
) -> Any:
    """Train the family's tokenizer; its vocabulary is ``tokens``, then the learned pieces."""
    size = len(tokens) + pieces
    learned = tokenizer_class().train_new_from_iterator(
        list(corpus), vocab_size=size, new_special_tokens=list(tokens), show_progress=False
    )
    state = json.loads(learned.backend_tokenizer.to_str())["model"]
    own = sorted(set(state["vocab"]) - set(tokens), key=state["vocab"].__getitem__)
    vocabulary = {piece: index for index, piece in enumerate([*tokens, *own])}
    merges = [tuple(pair) for pair in state["merges"]]
    tokenizer = tokenizer_class(vocab=vocabulary, merges=merges, **kwargs)
    whole = [token for token in tokens if token not in _BYTES]  # never split, as in the releases
    special = [token for token in whole if not token.startswith("<unused")]
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in whole if t not in special])
    return tokenizer
