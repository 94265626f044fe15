"""Holds frozen text models in four bits, as QLoRA does (Dettmers et al. 2023, arXiv:2305.14314).

Only the linear layers of the text model become NF4. Vision encoder, connector, embeddings and the
head keep their numbers, because they are small and every pixel and every answer passes them.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch

from imaxray.errors import ImaxrayError
from imaxray.models.chat import ChatModel


def require_nf4(quantization: str) -> None:
    """Check that weights can be held in four bits here, before anything is loaded.

    Raises:
        ImaxrayError: The format is another one, the package bitsandbytes is missing or cannot be
            imported, or there is no GPU.
    """
    if quantization != "nf4":
        raise ImaxrayError(
            f"Expected the quantization nf4, but got {quantization}; use nf4 or leave it out."
        )
    try:
        importlib.import_module("bitsandbytes")
    except Exception as error:  # a build for another CUDA fails with RuntimeError or OSError
        raise ImaxrayError(
            "Expected the package bitsandbytes for quantization: nf4, but it cannot be imported; "
            "pip install 'imaxray[qlora]', or leave quantization out."
        ) from error
    if not torch.cuda.is_available():
        raise ImaxrayError(
            "Expected a GPU (CUDA) for quantization: nf4, but there is none; leave quantization "
            "out, or train on a machine with a GPU."
        )


def nf4(family: type[ChatModel], dtype: torch.dtype | str) -> Any:
    """Return the configuration by which ``transformers`` loads a model of a family in four bits.

    Args:
        family: Family of the model, which names its vision encoder and its connector.
        dtype: Data type of the other weights; with ``auto``, products are computed in bfloat16.

    Example:
        >>> made = nf4(ChatModel, "auto")
        >>> made.bnb_4bit_quant_type, made.bnb_4bit_compute_dtype
        ('nf4', torch.bfloat16)
        >>> "model.vision_tower" in made.llm_int8_skip_modules
        True
    """
    from transformers import BitsAndBytesConfig  # late, because it is seldom needed

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype if isinstance(dtype, torch.dtype) else torch.bfloat16,
        llm_int8_skip_modules=["lm_head", *family.tower, *family.connector],
    )
