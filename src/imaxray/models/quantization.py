"""Loads the frozen weights of a text model in four bits (NF4 of QLoRA), with bitsandbytes.

QLoRA (Dettmers et al. 2023, arXiv:2305.14314) stores the linear layers of the text model in NF4
with nested quantization constants, and trains adapters on them. Image tower, connector, embeddings
and the head keep their format.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any, Final

import torch

from imaxray.errors import ImaxrayError

_LINEAR: Final = re.compile(
    r"(?:.*\.)?language_model\.layers\.\d+\..*\b"
    r"(?:q|k|v|o|gate|up|down)_proj(?:\.base_layer)?"
)


def is_text_layer(name: str) -> bool:
    """Tell whether the module of this name is a linear layer that NF4 stores in four bits."""
    return _LINEAR.fullmatch(name) is not None


def require_quantization() -> None:
    """Check that four-bit weights can be loaded here, before anything else is done.

    Raises:
        ImaxrayError: bitsandbytes is not installed, or does not fit this machine.
    """
    try:
        importlib.import_module("bitsandbytes")
    except Exception as error:  # a build for another CUDA or torch fails in many ways
        reason = next(iter(str(error).splitlines()), "it gives no reason")
        raise ImaxrayError(
            "Expected the package bitsandbytes for quantization: nf4, but it cannot be imported "
            f"({reason}); run pip install 'imaxray[qlora]', or leave quantization out."
        ) from error


def nf4_options(skip: Sequence[str], dtype: torch.dtype | str) -> dict[str, Any]:
    """Return the arguments with which ``from_pretrained`` loads a text model in NF4.

    Args:
        skip: Prefixes of modules that keep their format.
        dtype: Data type of all other weights, in which the quantized layers compute.
    """
    from transformers import BitsAndBytesConfig

    compute = torch.bfloat16 if isinstance(dtype, str) else dtype
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute,
            llm_int8_skip_modules=["lm_head", *skip],
        )
    }
