"""Loads models by registry name, repository id or folder: safetensors only, no remote code."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from imaxray._common import plugins as _plugins
from imaxray._common.plugins import Plugin, plugins_besides
from imaxray.boxes import BoxConvention, get_convention
from imaxray.errors import ImaxrayError
from imaxray.models.chat import ChatModel
from imaxray.models.nf4 import nf4, require_nf4
from imaxray.models.processor import load_processor
from imaxray.models.registry import RegistryRow, convention_of, find_row, unknown_model
from imaxray.models.saved import ADAPTER, adapter_base, read_sidecar

_SHARD: Final = re.compile(r"(?!\.)[^/\\:]+\.safetensors")

FAMILIES: Final = {  # ``config.model_type`` → module and class
    "gemma3": "families.gemma3.Gemma3Model",
    "internvl": "families.internvl.InternVLModel",
    "llava": "families.llava.LlavaModel",
    "llava_onevision": "families.llava_onevision.LlavaOnevisionModel",
    "mini_llava": "mini.MiniLlavaModel",
    "phantom": "phantom.PhantomModel",
    "qwen2_5_vl": "families.qwen2_5_vl.Qwen25VLModel",
    "qwen3_vl": "families.qwen3_vl.Qwen3VLModel",
}


_MODEL_FILES: Final = ("config.json", ADAPTER)


def require_device(device: torch.device | str) -> None:
    """Check that a device exists and can be used, before anything is loaded for it.

    Raises:
        ImaxrayError: There is no such device here.
    """
    try:
        found = torch.device(device)
        if found.type == "meta":
            raise RuntimeError("it holds no numbers")
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise ImaxrayError(
            f"Expected a device of this machine, but {device} cannot be used; name one of "
            f"{', '.join(there)}."
        ) from error


def family_of(model_type: str) -> type[ChatModel]:
    """Return the family of a ``config.model_type``; :class:`ChatModel` itself for unknown types.

    Built-in families have precedence over those of other installed packages
    (docs/adding-a-model-family.md).

    Raises:
        ImaxrayError: The family of another package cannot be loaded, or it is not a family.
    """
    outside = plugins_besides(_plugins.FAMILIES, FAMILIES)
    if model_type not in FAMILIES:
        plugin = outside.get(model_type)
        return ChatModel if plugin is None else _from_outside(plugin)
    module, _, name = FAMILIES[model_type].rpartition(".")
    found: type[ChatModel] = getattr(importlib.import_module(f"imaxray.models.{module}"), name)
    return found


def _from_outside(plugin: Plugin) -> type[ChatModel]:
    cls = plugin.load_class(ChatModel, "imaxray.models", ())
    if cls.family != plugin.point.name:
        raise plugin.unfit(f"its family is {cls.family}")
    return cls


def load_model(
    name_or_path: str | Path,
    *,
    convention: str | BoxConvention | None = None,
    dtype: torch.dtype | str = "auto",
    device: torch.device | str = "cpu",
    revision: str | None = None,
    local_files_only: bool = False,
    attention: str | None = None,
    max_image_tokens: int | None = None,
    quantization: str | None = None,
) -> ChatModel:
    """Load a model with its processor and its box convention.

    Args:
        name_or_path: Registry name (``imaxray models``), repository id of any native image-text
            model, or folder of a model. A folder may also hold what :meth:`ChatModel.save` wrote:
            a whole model or a PEFT adapter.
        convention: Box convention. Registry models and saved models have one of their own; for
            other models it is required.
        dtype: Data type of the weights; ``auto`` keeps the stored one.
        device: Device on which the model is placed.
        revision: Commit, tag or branch on the hub, which overrides that of the registry.
        local_files_only: Whether to use only files on this machine and never the network.
        attention: ``attn_implementation`` of ``transformers``; ``None`` for its default.
        max_image_tokens: Maximum number of tokens of an image, for processors that scale with the
            image (Qwen's largest area, InternVL's and LLaVA-OneVision's number of tiles). The
            limit is saved with the processor.
        quantization: ``nf4`` to hold the linear layers of the text model in four bits, on a GPU.

    Raises:
        ImaxrayError: ``quantization`` cannot be used here, or the attention by this model; or the
            model does not exist, has no image input or needs remote code, or the box
            convention is missing or unknown.
    """
    folder = Path(str(name_or_path))
    require_device(device)
    if quantization is not None:
        require_nf4(quantization)
    _require_model_folder(folder)
    if (folder / ADAPTER).is_file():
        chat = _load_adapter(
            folder, convention, dtype, device, local_files_only, attention, quantization
        )
        if max_image_tokens is not None:
            chat.limit_image_tokens(max_image_tokens)
        return chat
    found = find_model(str(name_or_path), convention, revision, local_files_only)
    extra: dict[str, Any] = {} if attention is None else {"attn_implementation": attention}
    if quantization is not None:
        extra |= {"quantization_config": nf4(found.family, dtype), "device_map": {"": device}}
    try:
        model = _weights(
            found.source, found.name, config=found.config, dtype=dtype, **found.hub, **extra
        )
    except (ImportError, ValueError) as error:
        if attention is None or "attention" not in str(error).lower():
            raise
        said = str(error).partition(". ")[0].rstrip(".")
        raise ImaxrayError(
            f"Expected an attention implementation that {found.name} can use here, but {attention} "
            f"cannot be used ({said}); use sdpa."
        ) from error
    chat = found.family(
        str(found.about.get("name") or (found.row.name if found.row else found.name)),
        (model if quantization else model.to(device)).eval(),
        load_processor(found.source, found.config, **found.hub),
        found.convention,
        commit=found.about.get("commit") or getattr(found.config, "_commit_hash", None),
    )
    if max_image_tokens is not None:
        chat.limit_image_tokens(max_image_tokens)
    return chat


def require_model(
    name_or_path: str | Path,
    *,
    convention: str | BoxConvention | None = None,
    revision: str | None = None,
) -> None:
    """Check that a model is there and can be loaded, without loading its weights.

    The configuration of a repository is fetched if it is not on this machine yet.

    Args:
        name_or_path: Model, as for :func:`load_model`.
        convention: Box convention, as for :func:`load_model`.
        revision: Commit, tag or branch on the hub.

    Raises:
        ImaxrayError: As :func:`load_model`, except what concerns weights and the device.
    """
    folder = Path(str(name_or_path))
    _require_model_folder(folder)
    if (folder / ADAPTER).is_file():
        require_model(adapter_base(folder), convention=convention, revision=revision)
        return
    find_model(str(name_or_path), convention, revision, local_files_only=False)


def _require_model_folder(folder: Path) -> None:
    if folder.is_dir() and not any((folder / part).is_file() for part in _MODEL_FILES):
        raise ImaxrayError(
            f"Expected the folder of a model or of a finished run at {folder}, but it has neither "
            "config.json nor adapter_config.json; name the folder that holds one."
        )
    if folder.is_file():
        raise ImaxrayError(
            f"Expected the folder of a model at {folder}, but it is a file; name its folder."
        )


@dataclass(frozen=True)
class FoundModel:
    """What is known of a model before its weights are loaded."""

    name: str
    source: str
    hub: dict[str, Any]
    config: Any
    family: type[ChatModel]
    row: RegistryRow | None
    about: dict[str, Any]
    convention: BoxConvention


def find_model(
    name: str,
    convention: str | BoxConvention | None,
    revision: str | None,
    local_files_only: bool,
) -> FoundModel:
    """Find a model and what is known of it, without its weights.

    Args:
        name: Model, as for :func:`load_model`.
        convention: Box convention, as for :func:`load_model`.
        revision: Commit, tag or branch on the hub.
        local_files_only: Whether to use only files on this machine and never the network.

    Raises:
        ImaxrayError: As :func:`require_model`.
    """
    folder = Path(name)
    about = read_sidecar(folder)
    row = None if folder.is_dir() else find_row(name)
    if row is not None and row.repository is None:
        raise ImaxrayError(
            f"Expected a model with weights to load, but {name} is built here; name the folder of "
            "a trained model, or let `imaxray study` build it."
        )
    if row is None and not folder.is_dir() and name.count("/") != 1:
        raise unknown_model(name, "is neither a registry name, a repository id nor a folder")
    source = row.repository if row is not None and row.repository else name
    hub: dict[str, Any] = {
        "revision": revision or (row.revision if row else None) or "main",
        "local_files_only": local_files_only or folder.is_dir(),
        "trust_remote_code": False,
    }
    _check_shards(folder)
    config = _config(source, name, row, hub)
    family = family_of(about.get("family") or config.model_type)
    if row is not None and row.family != config.model_type:
        raise ImaxrayError(
            f"Expected {row.title} to be of the family {row.family}, but its configuration says "
            f"{config.model_type}; see the note of `imaxray models` on it."
        )
    saved = BoxConvention.from_dict(about["convention"]) if "convention" in about else None
    chosen = convention_of(name, convention, row, saved)
    return FoundModel(name, source, hub, config, family, row, about, chosen)


def _config(source: str, name: str, row: RegistryRow | None, hub: dict[str, Any]) -> Any:
    """Return the model's configuration; a native class must support it with image input."""
    importlib.import_module("imaxray.models.mini.tower")  # makes its configuration known
    try:
        config = AutoConfig.from_pretrained(source, **hub)
    except ValueError as error:
        # transformers raises it for an unknown model_type and for one that needs remote code
        raise unknown_model(
            name, "needs code of its own, which is never run, or a newer transformers"
        ) from error
    except OSError as error:
        if row is not None:
            raise ImaxrayError(
                f"Expected {row.title} at {source} on the hub or in its cache, but it can be read "
                f"from neither (access: {row.access}); log in with an account that has access, "
                f"or name the folder of a download with --boxes {row.convention}."
            ) from error
        raise unknown_model(
            name,
            "cannot be read: there is no such repository or folder, or the hub cannot be reached",
        ) from error
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise unknown_model(name, f"has no image input (its type is {config.model_type})")
    return config


def _check_shards(folder: Path) -> None:
    """Check that the indexes of weights in a folder name safetensors files of this folder."""
    for index in sorted(folder.glob("*.index.json")):
        try:
            named = json.loads(index.read_bytes())["weight_map"].values()
            bad = [str(name) for name in named if not _SHARD.fullmatch(str(name))]
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:
            raise ImaxrayError(
                f"Expected an index of weights at {index}, but it is damaged; download it again."
            ) from error
        if bad:
            raise ImaxrayError(
                f"Expected an index of safetensors files beside it at {index}, but it names "
                f"{min(bad)}; take the files of a source that you trust, or convert the weights."
            )


def _weights(source: str, name: str, **kwargs: Any) -> Any:
    """Load the model with all of its weights."""
    transformers.utils.logging.disable_progress_bar()
    try:
        model, info = AutoModelForImageTextToText.from_pretrained(
            source, use_safetensors=True, output_loading_info=True, **kwargs
        )
    except OSError as error:
        raise ImaxrayError(
            f"Expected the weights of {name} as safetensors, but no such file can be read; "
            "download all files, or convert the weights (pickled weights are not opened)."
        ) from error
    if info["missing_keys"]:
        raise ImaxrayError(
            f"Expected every weight of {name} in its files, but {len(info['missing_keys'])} are "
            f"missing (first: {min(info['missing_keys'])}); download all files, or take a "
            "checkpoint of the same model class."
        )
    return model


def _load_adapter(
    folder: Path,
    convention: str | BoxConvention | None,
    dtype: torch.dtype | str,
    device: torch.device | str,
    local_files_only: bool,
    attention: str | None,
    quantization: str | None,
) -> ChatModel:
    """Load a PEFT adapter on its base model, with the processor saved beside the adapter."""
    from peft import PeftModel  # imported late, because peft is heavy

    if not (folder / "adapter_model.safetensors").is_file():
        raise ImaxrayError(
            f"Expected the weights of the adapter {folder} as adapter_model.safetensors, but there "
            "is no such file; download it, or convert the weights (pickled weights are not opened)."
        )
    about = read_sidecar(folder)
    base = adapter_base(folder)
    if convention is None and "convention" in about:
        convention = BoxConvention.from_dict(about["convention"])
    chat = load_model(
        base,
        convention=convention,
        dtype=dtype,
        device=device,
        revision=about.get("commit"),
        local_files_only=local_files_only,
        attention=attention,
        quantization=quantization,
    )
    processor = load_processor(
        str(folder), chat.model.config, local_files_only=True, trust_remote_code=False
    )
    model = PeftModel.from_pretrained(chat.model, str(folder), use_safetensors=True).eval()
    name, own = str(about.get("name") or chat.name), convention or chat.convention
    if isinstance(own, str):
        own = get_convention(own)
    return type(chat)(name, model, processor, own, commit=chat.commit)
