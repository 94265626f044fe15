"""Tests that attention and number format are checked before a model is loaded or trained."""

import types

import pytest
import torch

from imaxray.errors import ImaxrayError
from imaxray.models import build_tiny, load_model
from imaxray.packing import MASKED, PACKED_FLEX, PACKED_SDPA, require_packable
from imaxray.training import load_recipe, train_dataset
from imaxray.training.backend import attention_of, prepare_attention, require_backend
from imaxray.training.recipe import Attention

FAMILIES = ["gemma3", "internvl", "llava", "llava_onevision", "qwen2_5_vl", "qwen3_vl"]


def recipe(**changes):
    return load_recipe(None, **{"model": "nobody/has-it", **changes})


def text_attention(chat):
    return chat.model.config.get_text_config()._attn_implementation


def never(*_, **__):
    raise AssertionError("a model was loaded before the check")


def test_flash_attention_and_packed_rows_end_before_the_model_is_loaded(
    dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr("imaxray.training.dataset_run.load_model", never)
    monkeypatch.setattr("imaxray.training.backend.is_flash_attn_2_available", lambda: True)
    said = r"takes the mask of packed rows .* got flash_attention_2.* the separate layout"
    with pytest.raises(ImaxrayError, match=said):
        train_dataset(dataset, tmp_path / "run", recipe(attention="flash_attention_2"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("layout", ["separate", "conversation"])
def test_flash_attention_serves_the_other_layouts_where_it_is_installed(layout, monkeypatch):
    asked = recipe(attention="flash_attention_2", layout=layout)
    with pytest.raises(ImaxrayError, match="package flash-attn and a GPU"):
        require_backend(asked)
    monkeypatch.setattr("imaxray.training.backend.is_flash_attn_2_available", lambda: True)
    require_backend(asked)
    whole = types.SimpleNamespace(name="m", model=types.SimpleNamespace(dtype=torch.float32))
    with pytest.raises(ImaxrayError, match="weights of m are float32; add --bf16"):
        prepare_attention(whole, asked)
    prepare_attention(whole, asked.model_copy(update={"bf16": True}))


@pytest.mark.parametrize("layout", ["packed", "separate", "conversation"])
def test_flex_attention_has_no_gradients_on_a_cpu(layout, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ImaxrayError, match="a GPU for training with the attention flex_attention"):
        require_backend(recipe(attention="flex_attention", layout=layout))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    require_backend(recipe(attention="flex_attention", layout=layout))


@pytest.mark.parametrize("attention", [None, "sdpa", "eager", "flex_attention"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_packed_rows_with_every_attention_that_has_masks(
    family, attention, tmp_path
):
    build_tiny(family).save(tmp_path)
    asked = recipe(attention=attention)
    chat = load_model(tmp_path, attention=attention_of(asked))
    prepare_attention(chat, asked)
    wanted = {None: PACKED_SDPA, "sdpa": PACKED_SDPA, "flex_attention": PACKED_FLEX}
    assert text_attention(chat) == wanted.get(attention, attention)


def test_what_takes_no_mask_is_refused_by_the_packed_layout_alone(tmp_path):
    chat = build_tiny("llava")
    chat.model.config.get_text_config()._attn_implementation_internal = "flash_attention_2"
    with pytest.raises(ImaxrayError, match="got flash_attention_2"):
        require_packable(chat.model)
    prepare_attention(chat, recipe(layout="separate"))


@pytest.mark.parametrize("kind", ["chunked_attention", "linear_attention"])
def test_layers_of_another_kind_are_named_before_training(kind):
    chat = build_tiny("gemma3")
    chat.model.config.get_text_config().layer_types = ["full_attention", kind]
    with pytest.raises(ImaxrayError, match=f"this model has {kind}; train it with the separate"):
        require_packable(chat.model)


def test_an_unproven_family_ends_before_its_run_folder_is_made(
    dataset, qwen, tmp_path, monkeypatch
):
    monkeypatch.setattr("imaxray.packing.inputs.PACKABLE", frozenset({"llava"}))
    with pytest.raises(ImaxrayError, match="this model is 'qwen2_5_vl'"):
        train_dataset(dataset, tmp_path / "run", recipe(model=str(qwen), steps=1))
    assert not (tmp_path / "run" / "started.json").exists()


def test_a_family_that_cannot_be_loaded_with_an_attention_is_one_sentence(qwen):
    with pytest.raises(ImaxrayError, match=r"flex_attention cannot be used \(.*; use sdpa") as said:
        load_model(qwen, attention="flex_attention")
    assert "\n" not in str(said.value)
    with pytest.raises(ImaxrayError, match="flash_attention_2 cannot be used"):
        load_model(qwen, attention="flash_attention_2")


def test_the_names_of_attentions_are_those_that_are_checked():
    assert {*MASKED, "flash_attention_2"} == set(Attention.__args__)
    for name in ("flash", "kernels-community/flash-attn", "packed_sdpa"):
        with pytest.raises(ImaxrayError, match="attention"):
            recipe(attention=name)


@pytest.mark.parametrize(("changes", "said"), [
    ({"method": "full"}, "use the method lora"),
    ({"method": "connector"}, "use the method lora"),
    ({"fsdp": True}, "fsdp cannot shard weights of four bits"),
])  # fmt: skip
def test_four_bits_are_for_adapters_on_one_copy(changes, said):
    assert recipe(quantization="nf4").method == "lora"
    with pytest.raises(ImaxrayError, match=said):
        recipe(quantization="nf4", **changes)
    with pytest.raises(ImaxrayError, match="quantization"):
        recipe(quantization="int8")


def test_a_machine_without_the_package_or_a_gpu_ends_before_anything_is_loaded(
    dataset, qwen, tmp_path, monkeypatch
):
    monkeypatch.setattr("imaxray.models.load._weights", never)
    asked = recipe(model=str(qwen), quantization="nf4")
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(ImaxrayError, match=r"pip install 'imaxray\[qlora\]'"):
        train_dataset(dataset, tmp_path / "run", asked)
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", types.ModuleType("bitsandbytes"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ImaxrayError, match=r"a GPU \(CUDA\) for quantization: nf4"):
        train_dataset(dataset, tmp_path / "run", asked)


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_are_trained_on_four_bits(family, dataset, tmp_path, monkeypatch):
    """On a CPU, which bitsandbytes serves too; the check for a GPU is left out."""
    pytest.importorskip("bitsandbytes")
    monkeypatch.setattr("imaxray.models.load.require_nf4", lambda quantization: None)
    build_tiny(family).save(tmp_path / "tiny")
    asked = recipe(
        model=str(tmp_path / "tiny"), quantization="nf4", steps=12, entries_per_step=8,
        learning_rate=0.01, log_every=1, precision="float32", boxes="percent",
    )  # fmt: skip
    run = train_dataset(dataset, tmp_path / "run", asked, progress=False)
    assert run.curve[-1]["loss"] < run.curve[0]["loss"] - 0.1
    plain = load_model(tmp_path / "tiny").model
    chat = load_model(run.weights, quantization="nf4")
    kinds = {name.removeprefix("base_model.model."): type(module).__name__
             for name, module in chat.model.named_modules()}  # fmt: skip
    four = {name.removesuffix(".base_layer") for name, kind in kinds.items() if kind == "Linear4bit"
            if name.endswith("base_layer")}  # fmt: skip
    assert four and all("layers" in name and "vision" not in name and "visual" not in name
                        for name in four)  # fmt: skip
    assert not any(kind == "Linear4bit" for name, kind in kinds.items()
                   if name.startswith((*chat.tower, *chat.connector, "lm_head")))  # fmt: skip
    adapters = sum(p.numel() for name, p in chat.model.named_parameters() if "lora_" in name)
    whole = sum(p.numel() for p in plain.parameters())
    assert run.manifest["parameters_in_all"] == whole + adapters
    assert run.manifest["parameters"] == adapters
    load_model(run.weights)  # also on the whole base model
    more = asked.model_copy(update={"model": str(run.weights), "gradient_checkpointing": True})
    again = train_dataset(dataset, tmp_path / "more", more, progress=False)
    assert again.curve[0]["loss"] < run.curve[0]["loss"] - 0.1
