"""Selects which part of a model is trained: the whole model, LoRA adapters or the connector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel
from imaxray.training.config import TrainingConfig


def make_trainable(chat: ChatModel, config: TrainingConfig, seed: int) -> None:
    """Set ``requires_grad`` of the parameters and add adapters, so that ``chat.model`` can train.

    A model that already has adapters, from an earlier LoRA run, keeps them and trains them further.

    Raises:
        ImaxrayError: If the model has no modules for the method.
    """
    if config.method == "full":
        chat.model.requires_grad_(True)
    elif config.method == "connector":
        chat.model.requires_grad_(False)
        for module in connector_modules(chat).values():
            module.requires_grad_(True)
    else:
        chat.model = _with_adapters(chat, config, seed)


def save_trained(chat: ChatModel, folder: Path, state: dict[str, Any] | None = None) -> None:
    """Write the adapter alone, or the whole model, for :func:`imaxray.models.load_model`.

    Args:
        chat: Model after training.
        folder: Output folder, which is created.
        state: All weights by name; needed if the weights of ``chat`` are shards.
    """
    if state is None:
        chat.save(folder)
        return
    model = chat.model
    chat.model = _Whole(model, state)
    try:
        chat.save(folder)
    finally:
        chat.model = model


def connector_modules(chat: ChatModel) -> dict[str, nn.Module]:
    """Return the modules between vision encoder and text model, by name.

    Raises:
        ImaxrayError: If the model has none of the connector modules that its family names.
    """
    base = _base(chat.model)
    named = dict(base.named_modules())
    found = {name: named[name] for name in chat.connector if name in named}
    if not found:
        raise ImaxrayError(
            f"Expected one of the modules {', '.join(chat.connector)} in {chat.name}, but it has "
            "none; train it with --method lora or full."
        )
    return found


def _with_adapters(chat: ChatModel, config: TrainingConfig, seed: int) -> Any:
    from peft import LoraConfig, PeftModel, get_peft_model  # imported late, because peft is slow

    if isinstance(chat.model, PeftModel):
        chat.model.requires_grad_(False)
        for name, parameter in chat.model.named_parameters():
            parameter.requires_grad_("lora_" in name or "modules_to_save" in name)
        return chat.model
    lora = config.lora
    settings = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets or chat.lora_targets,
        modules_to_save=sorted(connector_modules(chat)) if lora.train_connector else None,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return get_peft_model(chat.model, settings)
        except ValueError as error:
            if "not found" not in str(error):
                raise
            raise ImaxrayError(
                f"Expected modules of {chat.name} that match {settings.target_modules}, but there "
                "are none; name them with lora.targets in the recipe."
            ) from error


def _base(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


class _Whole:
    """Wraps a sharded model, so that it is saved from gathered weights."""

    def __init__(self, model: Any, state: dict[str, Any]) -> None:
        self._model, self._state = model, state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def save_pretrained(self, folder: Path, **options: Any) -> None:
        self._model.save_pretrained(folder, state_dict=self._state, **options)
