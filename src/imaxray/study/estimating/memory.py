"""Estimates the memory of a training from the shapes of its parameters and of its largest pass.

Weights, gradients and the optimizer's state are counted parameter by parameter. Activations are
what autograd keeps for the backward pass of a text model of the Llama kind: for each token and
layer the inputs of norms, of trained modules and of the gated MLP, and query, key, value and output
of attention. Tests compare this with the tensors that autograd keeps of models of every family.

Not counted: the working memory of kernels and of the optimizer, the fragmentation of the allocator,
the CUDA context, the buckets of DDP, the passing memory of an image tower that is not trained, and
everything outside the accelerator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from imaxray.models import ChatModel
from imaxray.models.nf4 import four_bit_weights
from imaxray.study.estimating.tokens import PassSize
from imaxray.training import Recipe

NF4_BYTES: Final = 0.5 + (1 + 4 / 256) / 64
"""Bytes of a weight in NF4 with nested constants: four bits, one byte per 64 weights, and four
bytes per 256 of these."""

FORMULA: Final = (
    "bytes per process = weights + gradients of trained parameters + optimizer state (AdamW: two "
    "numbers per trained parameter; Muon: one per trained matrix) + activations of the largest "
    "forward pass (what autograd keeps, by the shapes of the layers). Left out: working memory of "
    "kernels, fragmentation, the CUDA context, buckets of DDP, and passing memory of an image "
    "tower that is not trained."
)


@dataclass(frozen=True)
class Memory:
    """Holds the bytes that one process of a training needs, by what they are for."""

    weights: int
    gradients: int
    optimizer: int
    activations: int | None

    @property
    def total(self) -> int | None:
        """Sum of all; ``None`` if activations are not known."""
        if self.activations is None:
            return None
        return self.weights + self.gradients + self.optimizer + self.activations


def memory_of(
    chat: ChatModel, recipe: Recipe, passes: Sequence[PassSize] | None, *, processes: int = 1
) -> Memory:
    """Estimate the memory of one process.

    Args:
        chat: Model or its outline, prepared for training
            (:func:`imaxray.training.method.make_trainable`).
        recipe: Recipe of the training.
        passes: Passes that may be the largest; ``None`` if they are not known. Activations are not
            known either of an image tower that is trained and is no transformer.
        processes: Number of processes; with FSDP they share weights, gradients and optimizer.
    """
    model = chat.model
    held = four_bit_weights(model, type(chat)) if recipe.quantization == "nf4" else []
    quantized = {id(weight) for weight in held}
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    weights = sum(
        p.numel() * (NF4_BYTES if id(p) in quantized else p.element_size())
        for p in model.parameters()
    )
    gradients = sum(p.numel() * p.element_size() for _, p in trained)
    optimizer = sum(p.numel() * p.element_size() * _states(name, p, recipe) for name, p in trained)
    parts = processes if recipe.fsdp else 1
    activations = None
    if passes is not None and (recipe.method != "full" or _is_transformer(chat)):
        activations = round(max(_activations(chat, recipe, one) for one in passes))
    return Memory(
        round(weights / parts), round(gradients / parts), round(optimizer / parts), activations
    )


def _states(name: str, parameter: nn.Parameter, recipe: Recipe) -> int:
    """Return the numbers that the optimizer keeps of each number of a parameter."""
    matrix = parameter.dim() == 2 and "embed" not in name and "lm_head" not in name
    return 1 if recipe.optimizer == "muon" and matrix else 2


def _activations(chat: ChatModel, recipe: Recipe, of: PassSize) -> float:
    text = chat.model.config.get_text_config()
    layers = int(text.num_hidden_layers)
    stored = _stored(chat)
    compute = 2 if recipe.bf16 else stored
    each = _layer(chat, recipe, of, stored, compute)
    hidden = int(text.hidden_size)
    if recipe.gradient_checkpointing:
        kept = layers * of.padded * hidden * stored + each
    else:
        kept = layers * each
    # the last norm, and logits, their float32 copy and their softmax
    logits = (compute + 8 if compute < 4 else 8) * int(text.vocab_size)
    head = of.padded * hidden * 4 + of.answers * (logits + hidden * compute)
    return kept + head + _tower(chat, recipe, of, compute)


def _layer(chat: ChatModel, recipe: Recipe, of: PassSize, stored: int, compute: int) -> float:
    """Return the bytes that autograd keeps of one layer of the text model."""
    text = chat.model.config.get_text_config()
    hidden, wide = int(text.hidden_size), int(text.intermediate_size)
    heads = int(text.num_attention_heads)
    size = int(getattr(text, "head_dim", None) or hidden // heads)
    query = heads * size
    kept = _norms(chat, hidden) * hidden * 4  # the stock norms compute in float32
    # query and output of attention; the pieces of packed rows are joined, which copies the output
    kept += (3 if of.packed else 2) * query * compute
    if recipe.method == "full":
        kept += _norms(chat, hidden) * hidden * stored  # for the gradient of a norm's weight
        if compute == stored:
            kept += (2 * hidden + 4 * wide) * compute
        else:  # autocast copies the input of each module
            kept += (5 * hidden + query + 4 * wide) * compute
    elif recipe.method == "connector":
        kept += 3 * wide * compute
    else:
        rank = 7 * recipe.lora.rank * (2 if recipe.bf16 else 4)
        if compute == stored == 4:
            kept += 2 * hidden * 4 + 4 * wide * 4 + rank
        else:  # each adapter gets a copy of its input in its own format
            copy = 2 if recipe.bf16 else 4
            kept += (5 * hidden + query + wide) * copy + 3 * wide * compute + rank
    per_token = kept * of.padded
    implementation = text._attn_implementation if recipe.attention is None else recipe.attention
    if implementation == "eager":
        pairs = of.rows * of.length**2 * heads * (compute + 4)
    elif implementation in ("flash_attention_2", "flex_attention"):
        pairs = 0  # neither stores a mask of every pair
    else:
        pairs = of.masked * compute
    return per_token + 2 * query * compute * of.keys + pairs


def _is_transformer(chat: ChatModel) -> bool:
    """Tell whether the image tower has layers of attention, of which activations are known."""
    return hasattr(chat.model.config.vision_config, "intermediate_size")


def _tower(chat: ChatModel, recipe: Recipe, of: PassSize, compute: int) -> float:
    """Return the bytes that autograd keeps of the image tower, which only ``full`` trains."""
    if recipe.method != "full":
        return 0.0
    tower = chat.model.config.vision_config
    hidden, wide = int(tower.hidden_size), int(tower.intermediate_size)
    layers = int(getattr(tower, "num_hidden_layers", 0) or tower.depth)
    gated = chat.model.config.model_type == "qwen2_5_vl"
    each = 2 * hidden * (8 if gated else 4) + (6 * hidden + (4 if gated else 2) * wide) * compute
    patches = of.image_tokens * patches_per_token(chat)
    return layers * each * patches


def patches_per_token(chat: ChatModel) -> float:
    """Return the number of patches of the image tower that become one image token."""
    config = chat.model.config
    merge = getattr(config.vision_config, "spatial_merge_size", None)
    if merge:
        return float(merge**2)
    ratio = getattr(config, "downsample_ratio", None)
    if ratio:
        return float(1 / ratio**2)
    tokens = getattr(config, "mm_tokens_per_image", None)
    if tokens:
        across = config.vision_config.image_size // config.vision_config.patch_size
        return float(across**2 / tokens)
    return 1.0


def _norms(chat: ChatModel, hidden: int) -> float:
    """Return the norms of a layer of the text model, in units of its width."""
    text = chat.model.config.get_text_config()
    size = int(getattr(text, "head_dim", None) or hidden // text.num_attention_heads)
    model = chat.model.get_base_model() if hasattr(chat.model, "get_base_model") else chat.model
    layer = model.model.language_model.layers[0]
    found = 0.0
    for name, module in layer.named_modules():
        if "norm" not in type(module).__name__.lower():
            continue
        if name.endswith("q_norm"):
            found += text.num_attention_heads * size / hidden
        elif name.endswith("k_norm"):
            found += text.num_key_value_heads * size / hidden
        else:
            found += 1
    return found


def _stored(chat: ChatModel) -> int:
    """Return the bytes of a number in which the text model passes its states on."""
    frozen: Any = next(
        p for n, p in chat.model.named_parameters() if n.endswith("embed_tokens.weight")
    )
    dtype: torch.dtype = frozen.dtype
    return dtype.itemsize
